"""Every key of a recipe: its type, its default, what it means; and the same as a JSON schema, which editors read."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from oger.recipes.methods import all_methods
from oger.recipes.recipe import MANAGED, OWN_KEYS, Recipe
from oger.training.config import OGERConfig
from oger.training.run.options import training_fields

_TYPES: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    type(None): {"type": "null"},
}
_NAMES = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text", "null": "null",
          "array": "list", "object": "mapping"}  # fmt: skip
_INHERITED_FROM = {"oger": "OGER", "trl": "TRL", "transformers": "transformers"}


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key that a recipe may set."""

    name: str
    schema: dict[str, Any]
    """What a value may be, as JSON schema; empty = anything."""
    default: Any
    """As JSON has it; `...` where the key must be set."""
    meaning: str
    origin: str
    """"runner", or whose option it is: "OGER", "TRL", "transformers"."""

    @property
    def kinds(self) -> str:
        """What a value may be, in words."""
        parts = self.schema.get("anyOf", [self.schema])
        return " or ".join(dict.fromkeys(_NAMES[part["type"]] for part in parts if "type" in part)) or "anything"

    @property
    def shown_default(self) -> str:
        """The default as one would write it."""
        return "must be set" if self.default is ... else json.dumps(self.default)


def recipe_keys(word: str = "") -> list[Key]:
    """The keys whose name or meaning holds `word`, those of the runner first."""
    low = word.casefold()
    return [key for key in (*_own(), *_training()) if low in key.name.casefold() or low in key.meaning.casefold()]


def recipe_schema() -> dict[str, Any]:
    """JSON schema of a recipe file."""
    keys = recipe_keys()
    properties = {}
    for key in keys:
        properties[key.name] = {**key.schema, "description": key.meaning}
        if key.default is not ...:
            properties[key.name]["default"] = key.default
    properties["method"] = {
        **properties["method"],
        "examples": [name for name, method in all_methods().items() if method.line],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "OGER recipe",
        "description": "One run of oger train; see docs/runs.md",
        "type": "object",
        "properties": properties,
        "required": [key.name for key in keys if key.default is ...],
        "additionalProperties": False,
    }


def _own() -> Iterable[Key]:
    hints = typing.get_type_hints(Recipe)
    described: Any = Recipe  # pydantic's decorator says nothing of what it adds
    for field in dataclasses.fields(Recipe):
        if field.name in OWN_KEYS:
            yield Key(
                name=field.name, schema=_schema(hints[field.name]), default=_default(field), origin="runner",
                meaning=" ".join(str(described.__pydantic_fields__[field.name].description or "").split()),
            )  # fmt: skip


def _training() -> Iterable[Key]:
    hints = training_fields()
    for field in sorted(dataclasses.fields(OGERConfig), key=lambda field: _origin(field.name) != "OGER"):
        if field.init and field.name not in MANAGED:
            help_text = " ".join(str(field.metadata.get("help", "")).split())
            yield Key(
                name=field.name, schema=_schema(hints[field.name]), default=_default(field), meaning=help_text,
                origin=_origin(field.name),
            )  # fmt: skip


def _origin(name: str) -> str:
    """Whose class declares a field first."""
    declaring = [base for base in OGERConfig.__mro__ if name in getattr(base, "__annotations__", {})]
    package = declaring[-1].__module__.partition(".")[0] if declaring else "oger"
    return _INHERITED_FROM.get(package, package)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.name == "output_dir":
        return None  # runs/NAME
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    elif field.default is not dataclasses.MISSING:
        value = getattr(field.default, "value", field.default)
    else:
        return ...
    return list(value) if isinstance(value, tuple) else value


def _schema(hint: Any) -> dict[str, Any]:
    """What JSON values a type takes; {} where it takes more than can be told."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _schema(arguments[0])
    if origin in (typing.Union, types.UnionType):
        parts = [_schema(argument) for argument in arguments]
        if not all(parts):
            return {}
        flat = [each for part in parts for each in part.get("anyOf", [part])]
        unique = list({json.dumps(each, sort_keys=True): each for each in flat}.values())
        return unique[0] if len(unique) == 1 else {"anyOf": unique}
    if origin is typing.Literal:
        return {"type": "string", "enum": list(arguments)} if arguments != ("",) else {"type": "string"}
    if origin in (list, tuple):
        items = _schema(arguments[0]) if arguments else {}
        return {"type": "array", **({"items": items} if items else {})}
    if origin is dict or hint is dict:
        return {"type": "object"}
    return dict(_TYPES.get(hint, {}))
