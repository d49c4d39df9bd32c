"""What passes between the stages of a curation, from a source row to the kept trajectory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from oger.teachers.curate.reasons import REASONS

EXCERPT_CHARACTERS = 200


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

    origin: str
    """Name of the source."""
    file: str
    row: int
    """Number of the row in the file, from 0."""


@dataclass(slots=True, kw_only=True)
class PromptRow:
    """A source row whose prompt could be read."""

    seq: int
    """Position in the whole curation: source by source, file by file, row by row."""
    origin: str
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

    @property
    def gold(self) -> tuple[str | None, str | None, str | None]:
        """Answer, kind and metadata."""
        return self.answer, self.kind, self.metadata


@dataclass(slots=True, kw_only=True)
class Trajectory:
    """A trajectory on its way from its source row to the choice; every stage adds what it found out."""

    seq: int
    """Position in the whole curation, as that of a `PromptRow`."""
    origin: str
    file: str
    row: int
    prompt_id: str
    answer: str
    kind: str
    teacher: str
    text: Any
    """A text in its final form once it is normalised."""
    source: str
    """Source of the table: the name, and where inside it."""
    claim: bool | None = None
    beginning: Any = None
    """The text as its source has it; None once its chunk is done."""
    text_hash: str = ""
    num_tokens: int = 0
    conflict: str | None = None
    """Why it does not answer the gold that the table states; None = it does."""
    copy: int = 1
    """1 for the first trajectory with this text, 2 and more for repetitions."""

    def rejected(self, reason: str, detail: str) -> dict[str, Any]:
        """Its line of rejects.jsonl."""
        text = self.text if self.beginning is None else self.beginning
        return reject_line(self, "trajectory", reason, detail, text, self.teacher, self.prompt_id or None)


def reject_line(
    place: Place | PromptRow | Trajectory,
    unit: str,
    reason: str,
    detail: str,
    text: Any,
    teacher: str | None = None,
    prompt_id: str | None = None,
) -> dict[str, Any]:
    """One line of rejects.jsonl: a "trajectory", a source "row" or a "prompt" (teacher null) that is set aside."""
    return {
        "unit": unit,
        "source": place.origin,
        "file": place.file,
        "row": place.row,
        "teacher": teacher,
        "reason": reason,
        "stage": REASONS.get(reason, "parse"),
        "detail": detail,
        "excerpt": (text if isinstance(text, str) else repr(text))[:EXCERPT_CHARACTERS]
        .encode(errors="replace")
        .decode(),
        "prompt_id": prompt_id,
    }


def _counters() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Counts:
    """What a pass over source rows saw, before anything could be lost. Keys: teacher, or source where it says so."""

    rows: Counter[str] = field(default_factory=Counter)
    """Source -> rows read."""
    rows_without_trajectory: Counter[str] = field(default_factory=Counter)
    """Source -> rows with a prompt and no trajectory at all."""
    seen: Counter[str] = field(default_factory=Counter)
    verdicts: defaultdict[str, Counter[str]] = field(default_factory=_counters)
    """Teacher -> verdict -> trajectories that reached the verifier (or whose source was trusted)."""
    tokens_verified: Counter[str] = field(default_factory=Counter)
    """Teacher -> tokens of its correct trajectories, before the limit."""
    claims: defaultdict[str, Counter[str]] = field(default_factory=_counters)
    """Teacher -> "claim/verdict" -> trajectories whose source states a verdict."""

    def add(self, other: Mapping[str, Any]) -> None:
        """Add the counts of another pass, given as a mapping with the names of the fields."""
        for name in ("rows", "rows_without_trajectory", "seen", "tokens_verified"):
            getattr(self, name).update(other[name])
        for name in ("verdicts", "claims"):
            for teacher, inner in other[name].items():
                getattr(self, name)[teacher].update(inner)
