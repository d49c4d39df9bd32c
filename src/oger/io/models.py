"""Values of files and options, checked by pydantic, refused in one line: the place, and what must stand there.

A type says what it must be (`Must`), so that the check and its sentence stand once; `checked` makes the line. Importing
this costs 0.15 s: do it where something is read, not where commands are declared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import core_schema

from oger.words import one_of

PLACE = "{place}"
"""Stands in an error's text for where the wrong value stands."""

Made = TypeVar("Made")


class WrongValueError(ValueError):
    """What is wrong with a value; `PLACE` in it becomes the place."""


class Must:
    """Whatever is wrong with a value is "PLACE must `be` got VALUE".

    Args:
        be: with its punctuation, such as "be a text,".
        holds: what the type alone does not say.
        parts: whether an entry of a list or mapping has a sentence of its own.
    """

    def __init__(self, be: str, holds: Callable[[Any], Any] = lambda _: True, *, parts: bool = True) -> None:
        self.be, self.holds, self.parts = be, holds, parts

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._check, handler(source))

    def _check(self, value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            made = inner(value)
        except ValidationError as error:
            if self.parts and error.errors()[0]["loc"]:
                raise
        else:
            if self.holds(made):
                return made
        raise WrongValueError(f"{PLACE} must {self.be} got {value!r}")


Text = Annotated[str, Field(strict=True), Must("be a text,", str.strip)]
Whole = Annotated[int, Field(strict=True, ge=1), Must("be a whole number of at least 1,")]
Count = Annotated[int, Field(strict=True, ge=0), Must("be a whole number of at least 0,")]
Flag = Annotated[bool, Field(strict=True), Must("be true or false,")]
Number = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), Must("be a number of at least 0,")]
Seconds = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), Must("be a number of seconds above 0,")]


def listed(value: Any) -> Any:
    """One name stands for a list of it."""
    return [value] if isinstance(value, str) else value


def named(value: Any) -> Any:
    """A mapping with its keys as text; null is an empty one."""
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    return {} if value is None else value


Listed, Named = BeforeValidator(listed), BeforeValidator(named)


class Entry(BaseModel):
    """A mapping of a file; another key than its fields is refused with the nearest one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _knows_its_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise WrongValueError(f"{PLACE} must hold lines of the form key: value")
        if cls.model_config["extra"] == "forbid":
            for key in value:
                try:
                    one_of((f.alias or name for name, f in cls.model_fields.items()), key, f"key of {PLACE}")
                except ValueError as error:
                    raise WrongValueError(str(error)) from None
        return value


def checked(make: Callable[[], Made], error: type[ValueError], whole: str, at: str = "") -> Made:
    """What `make` makes.

    Args:
        make: calls a model or a checked dataclass.
        error: raised instead of pydantic's own.
        whole: what is made, for errors that are not about one of its entries ("the study").
        at: what comes before the names of its entries ("methods.grpo.").
    """
    try:
        return make()
    except ValidationError as found:
        raise error(_line(found, whole, at)) from None


def _line(error: ValidationError, whole: str, at: str) -> str:
    """The first wrong value; what is missing comes after what is wrong."""
    found = error.errors(include_url=False)
    first = next((one for one in found if one["type"] not in ("missing", "missing_argument")), found[0])
    missing = first is found[0] and first["type"].startswith("missing")
    loc = first["loc"][:-1] if missing else first["loc"]
    # The numbers of list entries are left out.
    place = at + ".".join(part for part in loc if isinstance(part, str)) if loc else whole
    if missing:
        return f"{place} lacks {' and '.join(str(one['loc'][-1]) for one in found if one['loc'][:-1] == loc)}"
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return str(cause).replace(PLACE, place, 1)
    said = f"{first['msg'][0].lower()}{first['msg'][1:]}, got {first['input']!r:.80}"
    return f"{place} has the wrong type: {said}"
