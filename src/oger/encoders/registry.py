"""Encoders by name. A new one is one small file and one line in `_ENCODERS`."""

from __future__ import annotations

from importlib import import_module

from oger.encoders.base import Encoder
from oger.method.options import choose

_ENCODERS = {"ngram": "oger.encoders.ngram:from_argument"}
"""Name to "module:function"; the function takes what follows the colon of a spec and returns an encoder."""


def encoder_names() -> list[str]:
    """Names that `create_encoder` accepts."""
    return sorted(_ENCODERS)


def create_encoder(spec: str) -> Encoder:
    """Encoder named by `spec`, "name" or "name:argument".

    Raises:
        ValueError: no encoder has that name, or its argument is not one it takes.
    """
    name, _, argument = spec.partition(":")
    module, _, function = choose(_ENCODERS, name, "encoder").partition(":")
    return getattr(import_module(module), function)(argument)
