"""Encoders by name: `create_encoder("name:argument", option=value)`.

A name is a key of `_ENCODERS`, an entry point of the group `oger.encoders`, or `package.module:function`. Behind each
stands a function `(argument, **options) -> Encoder`; its keyword parameters are the options, so that an unknown option
is an error before anything is loaded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from oger.encoders.base import Encoder
from oger.encoders.parts import PARTS, PartEncoder
from oger.plugins import import_object
from oger.words import choose, one_of

Factory = Callable[..., Encoder]

ENTRY_POINT_GROUP = "oger.encoders"

_ENCODERS: Mapping[str, str] = {
    "ngram": "oger.encoders.ngram:from_argument",
    "policy-init": "oger.encoders.policy_init:from_argument",
    "sentence-transformers": "oger.encoders.sentence:from_argument",
    "static": "oger.encoders.static:from_argument",
}
"""Name to "module:function"; the function takes what follows the colon of a spec and the options."""

_POLICY_INIT = "policy-init"


def encoder_names() -> list[str]:
    """Names that `create_encoder` accepts, those of installed packages included."""
    return sorted({*_ENCODERS, *_entry_points()})


def create_encoder(spec: str, *, part: str = "full", **options: Any) -> Encoder:
    """Encoder named by `spec`.

    Args:
        spec: "name", "name:argument", "package.module:function" or "package.module:function:argument".
        part: What of each text is encoded: full | reasoning | final | equations.
        **options: Options of that encoder, such as `device` or `dtype`; docs/encoders.md lists them.

    Raises:
        ValueError: no encoder has that name, an option is unknown to it, or a value cannot be used.
        FileNotFoundError: the argument is a folder that does not exist.
    """
    factory, argument = _checked(spec, part, options)
    encoder = factory(argument, **options)
    if not isinstance(encoder, Encoder):
        raise ValueError(f"the encoder {spec!r} made a {type(encoder).__name__}, which has no identity and encode")
    return encoder if part == "full" else PartEncoder(encoder, part)


def check_spec(spec: str, *, part: str = "full", **options: Any) -> None:
    """Check the names in a spec and its options without loading anything.

    Raises:
        ValueError: no encoder has that name, or it has no such option.
    """
    _checked(spec, part, options)


def resolve_spec(spec: str, policy_source: str | None) -> str:
    """Complete "policy-init" by the folder or hub id of the policy that the run starts from.

    >>> resolve_spec("policy-init", "models/base"), resolve_spec("ngram", "models/base")
    ('policy-init:models/base', 'ngram')

    Raises:
        ValueError: "policy-init" without an argument, and the policy came from neither a folder nor the hub.
    """
    if spec.partition(":")[0] != _POLICY_INIT or spec.partition(":")[2]:
        return spec
    if not policy_source:
        raise ValueError("the encoder 'policy-init' needs the initial policy's folder: write policy-init:FOLDER")
    return f"{_POLICY_INIT}:{policy_source}"


def _checked(spec: str, part: str, options: Mapping[str, Any]) -> tuple[Factory, str]:
    factory, argument = _find(spec)
    choose(PARTS, part, "part")
    parameters = inspect.signature(factory).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
        for name in options:
            one_of([*known, "part"], name, f"option of the encoder {spec.partition(':')[0]!r}")
    return factory, argument


def _find(spec: str) -> tuple[Factory, str]:
    name, _, argument = spec.partition(":")
    known = {**_ENCODERS, **{other: place for other, place in _entry_points().items() if other not in _ENCODERS}}
    function, _, rest = argument.partition(":")
    if name not in known and function.isidentifier() and _is_module(name):
        return _import(f"{name}:{function}", spec), rest
    return _import(choose(known, name, "encoder"), spec), argument


def _entry_points() -> dict[str, str]:
    return {point.name: f"{point.module}:{point.attr}" for point in entry_points(group=ENTRY_POINT_GROUP)}


def _is_module(name: str) -> bool:
    if not all(piece.isidentifier() for piece in name.split(".")):
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a parent package is missing: not a module either
        return False


def _import(reference: str, spec: str) -> Factory:
    found = import_object(reference, what=f"encoder {spec!r} at")
    if not callable(found):
        raise ValueError(f"the encoder {spec!r} is a {type(found).__name__}, not a function (argument, **options)")
    return found
