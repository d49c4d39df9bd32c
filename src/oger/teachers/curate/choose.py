"""The stages that look at all trajectories of one prompt: conflicts, duplicates, contamination, choice.

Each takes trajectories in their order and returns those it keeps; `finish_group` runs them one after another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from oger.teachers.curate.options import CurateOptions


@dataclass(slots=True)
class Candidate:
    """A verified trajectory of a prompt, and what the rest of the curation knows about it."""

    seq: int
    teacher: str
    text: str
    num_tokens: int
    source: str
    origin: str
    file: str
    row: int
    conflict: str | None
    """Why it does not answer the gold that the table states; None = it does."""
    copy: int
    """1 for the first trajectory with this text, 2 and more for repetitions."""


@dataclass(slots=True)
class Group:
    """One prompt of the table with its candidates, in order."""

    prompt_id: str
    prompt: str
    answer: str | None
    kind: str | None
    metadata: str | None
    gold_problem: str | None
    contaminated: str | None
    origin: str
    """Name of the source that the prompt is taken from, then where it stands there."""
    file: str
    row: int
    candidates: list[Candidate]


Dropped = tuple[Candidate, str, str]
"""A candidate, the reason, and the detail."""


@dataclass(slots=True)
class Finished:
    """What became of one prompt."""

    group: Group
    kept: list[Candidate]
    dropped: list[Dropped]
    problem: str | None
    """Why the prompt itself is not in the table; None = it is."""


def finish_group(group: Group, options: CurateOptions) -> Finished:
    """Take one prompt's candidates through the last stages."""
    dropped: list[Dropped] = []
    kept = drop_conflicts(group.candidates, dropped)
    kept = drop_copies(kept, dropped)
    kept = drop_near_duplicates(kept, dropped, options.near_duplicates)
    problem = group.gold_problem
    if problem is None and group.contaminated is not None:
        problem = "contaminated"
        dropped += [(candidate, "contaminated", f"the prompt is in {group.contaminated}") for candidate in kept]
        kept = []
    kept = choose_per_teacher(kept, dropped, options, group.prompt_id)
    return Finished(group, kept, dropped, problem)


def drop_conflicts(candidates: Sequence[Candidate], dropped: list[Dropped]) -> list[Candidate]:
    """Drop what was verified against another gold answer than the prompt's first one, and is not equal to that."""
    return _split(candidates, dropped, "conflicting gold", lambda candidate: candidate.conflict)


def drop_copies(candidates: Sequence[Candidate], dropped: list[Dropped]) -> list[Candidate]:
    """Drop repetitions of an earlier text."""
    return _split(
        candidates, dropped, "duplicate", lambda c: f"copy {c.copy} of an earlier text" if c.copy > 1 else None
    )


def drop_near_duplicates(candidates: Sequence[Candidate], dropped: list[Dropped], threshold: float) -> list[Candidate]:
    """Drop texts whose similarity with a kept one is at least `threshold` (1 - insertions and deletions over the sum
    of the lengths); rapidfuzz gives up early where the lengths alone make that impossible."""
    if threshold >= 1:
        return list(candidates)
    from rapidfuzz.distance import Indel

    kept: list[Candidate] = []

    def near(candidate: Candidate) -> str | None:
        for other in kept:
            similarity = Indel.normalized_similarity(candidate.text, other.text, score_cutoff=threshold)
            if similarity >= threshold:
                return f"{similarity:.3f} like a text of {other.teacher}"
        kept.append(candidate)
        return None

    return _split(candidates, dropped, "near duplicate", near)


def choose_per_teacher(
    candidates: Sequence[Candidate], dropped: list[Dropped], options: CurateOptions, prompt_id: str
) -> list[Candidate]:
    """Keep `per_teacher` of each teacher's, by the order of the options; those kept stay in their order."""
    keys: dict[str, Callable[[Candidate], Any]] = {
        "first": lambda candidate: candidate.seq,
        "shortest": lambda candidate: (candidate.num_tokens, candidate.seq),
        "random": lambda candidate: _draw(options.seed, prompt_id, candidate),
    }
    by_teacher: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=keys[options.order]):
        by_teacher.setdefault(candidate.teacher, []).append(candidate)
    surplus = {c.seq for mine in by_teacher.values() for c in mine[options.per_teacher :]}
    why = f"more than {options.per_teacher} of one teacher (order: {options.order})"
    return _split(candidates, dropped, "surplus", lambda candidate: why if candidate.seq in surplus else None)


def _draw(seed: int, prompt_id: str, candidate: Candidate) -> bytes:
    """A random number that depends on nothing but the seed and the trajectory, so that no order of work changes it."""
    drawn = hashlib.blake2b(f"{seed}|{prompt_id}|{candidate.teacher}|".encode(), digest_size=16)
    drawn.update(candidate.text.encode())
    return drawn.digest()


def _split(
    candidates: Sequence[Candidate],
    dropped: list[Dropped],
    reason: str,
    objection: Callable[[Candidate], str | None],
) -> list[Candidate]:
    kept = []
    for candidate in candidates:
        detail = objection(candidate)
        if detail is None:
            kept.append(candidate)
        else:
            dropped.append((candidate, reason, detail))
    return kept
