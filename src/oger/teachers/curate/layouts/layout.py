"""What a layout is, and the checks that layouts share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from oger.teachers.curate.records import BadRowError, Entry


class Layout(ABC):
    """How one source row becomes a prompt, its gold answer and its trajectories.

    A layout reads fields by its own names; a column map may take a field from another column. It checks shapes only:
    whether a text, an answer or a teacher is usable is for the stages to say, so that it is counted.
    """

    required: ClassVar[tuple[str, ...]]
    """Fields that a file must have."""
    optional: ClassVar[tuple[str, ...]] = ()
    one_of: ClassVar[tuple[str, ...]] = ()
    """Optional fields of which a file must have one."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field, required or not."""
        return (*self.required, *self.optional)

    def read(self, row: Mapping[str, Any], columns: Mapping[str, str]) -> Entry:
        """One source row, where `columns` says which column holds a field of another name.

        Raises:
            BadRowError: a required column is missing, or the row has another shape.
        """
        for column in (columns.get(field, field) for field in self.required):
            if column and column not in row:
                raise BadRowError(f"no column {column!r}")
        return self.parse({field: row.get(columns.get(field, field)) for field in self.fields})

    @abstractmethod
    def parse(self, row: Mapping[str, Any]) -> Entry:
        """Read one row, which has every field as a key (None = absent or null).

        Raises:
            BadRowError: the row has another shape.
        """


def listed(value: Any, field: str) -> list[Any]:
    """`value` as a list; None is an empty one. Raises BadRowError for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRowError(f"{field} is {type(value).__name__}, not a list")
    return value


def mapping(value: Any, field: str) -> Mapping[str, Any]:
    """`value` as a mapping. Raises BadRowError for anything else."""
    if not isinstance(value, Mapping):
        raise BadRowError(f"{field} is {type(value).__name__}, not a mapping")
    return value


def flag(values: list[Any], position: int) -> bool | None:
    """Entry of a list of true and false that may be shorter than the generations, or hold nulls."""
    value = values[position] if position < len(values) else None
    return value if isinstance(value, bool) else None
