"""What passes between the stages of a curation, from a source row to the kept trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class BadRowError(ValueError):
    """A source row that a layout cannot read; the message says why."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One trajectory as its source states it; nothing is checked yet."""

    text: Any
    teacher: Any = None
    """None = the name of the source."""
    truncated: bool = False
    claim: bool | None = None
    """The source's own verdict, where it has one."""
    note: str = ""
    """Where inside the source it comes from; becomes part of the table's `source`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One source row as its layout reads it; nothing is checked yet."""

    prompt: Any
    answer: Any
    kind: Any = None
    """None = the curation's default kind."""
    metadata: Any = None
    drafts: tuple[Draft, ...] = ()
    gold_problem: str | None = None
    """Why no answer can be verified against this gold, where the layout knows."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source row stands."""

    source: str
    file: str
    row: int
    """Number of the row in the file, from 0."""


@dataclass(slots=True)
class Reject:
    """One trajectory, or one source row (`teacher` None), that is set aside."""

    place: Place
    teacher: str | None
    reason: str
    detail: str
    excerpt: str
    prompt_id: str | None = None


@dataclass(slots=True)
class PromptRow:
    """A source row whose prompt could be read."""

    seq: int
    """Position in the whole curation: source by source, file by file, row by row."""
    origin: str
    """Name of the source."""
    file: str
    row: int
    prompt_id: str
    prompt: str
    """JSON of the text or the messages."""
    chat: bool
    answer: str | None
    kind: str | None
    metadata: str | None
    gold_problem: str | None
    """Reason out of PROMPT_REASONS why its gold cannot be used; None = it can."""
    contaminated: str | None
    """Evaluation set that holds the prompt."""


@dataclass(slots=True)
class Trajectory:
    """A trajectory that passed the stages that need no other trajectory (parse to length)."""

    seq: int
    prompt_id: str
    answer: str
    kind: str
    teacher: str
    text: str
    text_hash: str
    num_tokens: int
    source: str
    """Source of the table: the name, and where inside it."""
    origin: str
    """Name of the source."""
    file: str
    row: int


@dataclass
class Counts:
    """What a pass over source rows saw, before anything could be lost. Keys: teacher, or source where it says so."""

    rows: dict[str, int] = field(default_factory=dict)
    """Source -> rows read."""
    rows_without_trajectory: dict[str, int] = field(default_factory=dict)
    """Source -> rows with a prompt and no trajectory at all."""
    seen: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, dict[str, int]] = field(default_factory=dict)
    """Teacher -> verdict -> trajectories that reached the verifier (or whose source was trusted)."""
    tokens_verified: dict[str, int] = field(default_factory=dict)
    """Teacher -> tokens of its correct trajectories, before the limit."""
    claims: dict[str, dict[str, int]] = field(default_factory=dict)
    """Teacher -> "claim/verdict" -> trajectories whose source states a verdict."""

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of another pass, given as a mapping with the names of the fields."""
        for name in ("rows", "rows_without_trajectory", "seen", "tokens_verified"):
            _add(getattr(self, name), other[name])
        for name in ("verdicts", "claims"):
            mine = getattr(self, name)
            for teacher, inner in other[name].items():
                _add(mine.setdefault(teacher, {}), inner)


def _add(mine: dict[str, int], other: Mapping[str, int]) -> None:
    for key, count in other.items():
        mine[key] = mine.get(key, 0) + count


def bump(table: dict[str, int], key: str, by: int = 1) -> None:
    """Count."""
    table[key] = table.get(key, 0) + by
