"""Methods: one small file each, a declaration over the same trainer of which rows, which reward, which weights.

A recipe's key `method` names one. Its options stand below the keys that the recipe itself sets; on the command line
(`method=luffy`) it replaces the recipe's method altogether: every key that any method sets is forgotten first.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.terminal.errors import one_line
from oger.words import choose

_SUFFIX = ".yaml"

_MODIFIERS = frozenset({"exploration_schedule", "exploration_schedule_end", "imitation_row_weight"})


@dataclass(frozen=True, kw_only=True)
class Method:
    """What a method is, and the recipe keys that make it."""

    name: str
    line: str
    equation: str
    source: str
    deviations: str
    options: Mapping[str, Any]


@functools.cache
def all_methods() -> Mapping[str, Method]:
    """Name -> method, in alphabetical order."""
    files = [entry for entry in resources.files(__name__).iterdir() if entry.name.endswith(_SUFFIX)]
    methods = {}
    for file in sorted(files, key=lambda entry: entry.name):
        name = file.name.removesuffix(_SUFFIX)
        methods[name] = Method(name=name, **yaml_dialect.load(file.read_text(encoding="utf-8")))
    return methods


def is_file(name: str) -> bool:
    """Whether a method is a file of the user's."""
    return name.endswith(_SUFFIX)


def load_method(name: str) -> Method:
    """The shipped method of that name, or the one that a file of the same form holds.

    Raises:
        ValueError: an unknown name, with the nearest valid one; or a file that is missing or holds no method.
    """
    if not is_file(name):
        return choose(all_methods(), name, "method")
    path = Path(name)
    try:
        return Method(name=path.stem, **yaml_dialect.load(yaml_dialect.read_text(path)))
    except (OSError, TypeError) as error:  # no such file; keys that are missing or unknown
        keys = ", ".join(field.name for field in fields(Method) if field.name != "name")
        raise ValueError(f"{name} is no method, a file with the keys {keys} ({one_line(error)})") from error


@functools.cache
def method_keys() -> frozenset[str]:
    """Every recipe key that belongs to a method: those that some method sets, and what only changes them."""
    return frozenset(key for method in all_methods().values() for key in method.options) | _MODIFIERS
