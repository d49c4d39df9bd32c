"""What a curation is told to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from oger.teachers.curate.layouts import load_layout
from oger.verification.formats import DEFAULT_RULES
from oger.verification.verifier import DEFAULT_KIND, DEFAULT_TIMEOUT_S
from oger.words import choose, did_you_mean, one_of

ORDERS = {"first": "in the order of the sources", "shortest": "fewest tokens first", "random": "drawn by the seed"}
DUPLICATE_SCOPES = {"anywhere": "the same text under any prompt", "prompt": "the same text under the same prompt"}


@dataclass(frozen=True)
class Source:
    """One source of trajectories."""

    name: str
    """Also the teacher's name, for rows that name none."""
    layout: str
    path: str
    """A file, a folder, `hub:OWNER/NAME[/CONFIG][:SPLIT]`, or a world's NAME/SPLIT; empty for an installed corpus."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field of the layout -> column of the source; an empty column = the field is not read."""

    def __post_init__(self) -> None:
        known = load_layout(self.layout).fields
        for name in self.columns:
            one_of(known, name, f"field of the layout {self.layout!r}")
        if not self.name or "/" in self.name:
            raise ValueError(f"a source needs a name without '/', got {self.name!r}")


@dataclass(frozen=True)
class CurateOptions:
    """A whole curation. Everything but `workers` decides what the table holds."""

    sources: tuple[Source, ...]
    tokenizer: str
    """The policy's: a folder in transformers format or a hub id; or "words", "characters"."""
    max_tokens: int = 8192
    """Longest trajectory, tokens, end of sequence included."""
    kind: str = DEFAULT_KIND
    """Of rows that state none."""
    rules: tuple[str, ...] = DEFAULT_RULES
    """How the answer is found in a trajectory."""
    timeout_s: float = DEFAULT_TIMEOUT_S
    """Per answer, seconds."""
    trust_claims: bool = False
    """Take a source's own verdict where it states one."""
    duplicates: str = "anywhere"
    """A key of DUPLICATE_SCOPES."""
    near_duplicates: float = 0.95
    """Similarity, 0 to 1, from which two texts under one prompt are the same; 1 = only equal texts are."""
    decontaminate: tuple[str, ...] = ()
    """Evaluation sets, as recipes name them."""
    ngram: int = 13
    """Words that a prompt may not share in a row with an evaluation prompt (Brown et al. 2020, appendix C)."""
    per_teacher: int = 1
    order: str = "first"
    """Which `per_teacher` are chosen: a key of ORDERS."""
    seed: int = 0
    """Of the order "random"."""
    workers: int | None = None
    """Processes; None = as many as there are cores."""

    def stated(self) -> dict[str, Any]:
        """What decides the table beside its sources."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("workers", "sources")}

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if not names:
            raise ValueError("a curation needs at least one source")
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have the same name: {', '.join(names)}")
        choose(ORDERS, self.order, "order")
        choose(DUPLICATE_SCOPES, self.duplicates, "scope of duplicates")
        for name in ("max_tokens", "ngram", "per_teacher"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.near_duplicates <= 1:
            raise ValueError(f"near_duplicates is a similarity above 0 and at most 1, got {self.near_duplicates}")
        if self.timeout_s <= 0:
            raise ValueError(f"the timeout must be above 0 s, got {self.timeout_s}")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"a curation needs at least one worker, got {self.workers}")
        if not self.tokenizer:
            raise ValueError("the length limit needs the policy's tokenizer: a folder, a hub id, words or characters")


def parse_source(text: str) -> Source:
    """A source as the command line writes it, NAME=LAYOUT:PATH.

    Raises:
        ValueError: another form, or an unknown layout.
    """
    name, equals, rest = text.partition("=")
    layout, colon, path = rest.partition(":")
    if not equals or not colon or not name:
        raise ValueError(f"{text!r} is no source: write NAME=LAYOUT:PATH, such as r1=openr1:data/train.parquet")
    return Source(name, layout, path)


def parse_maps(sources: list[Source], maps: list[str]) -> tuple[Source, ...]:
    """The sources with their column maps, each NAME.FIELD=COLUMN.

    Raises:
        ValueError: another form, or a name or a field that is not there.
    """
    columns: dict[str, dict[str, str]] = {source.name: {} for source in sources}
    for text in maps:
        left, equals, column = text.partition("=")
        name, dot, field_name = left.rpartition(".")
        if not equals or not dot:
            raise ValueError(f"{text!r} is no column map: write NAME.FIELD=COLUMN, such as mine.text=solution")
        if name not in columns:
            raise ValueError(f"no source is called {name!r}{did_you_mean(name, columns)}")
        columns[name][field_name] = column
    return tuple(Source(s.name, s.layout, s.path, columns[s.name]) for s in sources)
