"""The stages that look at all trajectories of one prompt: conflicts, duplicates, contamination, choice.

Each takes trajectories in their order and returns those it keeps; `finish_group` runs them one after another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz.distance import Indel

from oger.seeds import draw_key
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.records import PromptRow, Trajectory


@dataclass(slots=True)
class Group:
    """One prompt of the table with its verified trajectories, in order."""

    prompt: PromptRow
    trajectories: list[Trajectory]


Dropped = tuple[Trajectory, str, str]
"""A trajectory, the reason, and the detail."""


@dataclass(slots=True)
class Finished:
    """What became of one prompt."""

    prompt: PromptRow
    kept: list[Trajectory]
    dropped: list[Dropped]
    problem: str | None
    """Why the prompt itself is not in the table; None = it is."""


def finish_group(group: Group, options: CurateOptions) -> Finished:
    """Take one prompt's trajectories through the last stages."""
    prompt = group.prompt
    dropped: list[Dropped] = []
    kept = _split(group.trajectories, dropped, "conflicting gold", lambda trajectory: trajectory.conflict)
    kept = _split(kept, dropped, "duplicate", lambda t: f"copy {t.copy} of an earlier text" if t.copy > 1 else None)
    kept = _drop_near_duplicates(kept, dropped, options.near_duplicates)
    problem = prompt.gold_problem
    if problem is None and prompt.contaminated is not None:
        problem = "contaminated"
        kept = _split(kept, dropped, problem, lambda _: f"the prompt is in {prompt.contaminated}")
    kept = _choose_per_teacher(kept, dropped, options)
    return Finished(prompt, kept, dropped, problem)


def _drop_near_duplicates(
    trajectories: Sequence[Trajectory], dropped: list[Dropped], threshold: float
) -> list[Trajectory]:
    """Drop texts whose similarity with a kept one is at least `threshold` (1 - insertions and deletions over the sum
    of the lengths); rapidfuzz gives up early where the lengths alone make that impossible."""
    if threshold >= 1:
        return list(trajectories)
    kept: list[Trajectory] = []

    def near(trajectory: Trajectory) -> str | None:
        for other in kept:
            similarity = Indel.normalized_similarity(trajectory.text, other.text, score_cutoff=threshold)
            if similarity >= threshold:
                return f"{similarity:.3f} like a text of {other.teacher}"
        kept.append(trajectory)
        return None

    return _split(trajectories, dropped, "near duplicate", near)


def _choose_per_teacher(
    trajectories: Sequence[Trajectory], dropped: list[Dropped], options: CurateOptions
) -> list[Trajectory]:
    """Keep `per_teacher` of each teacher's, by the order of the options; those kept stay in their order."""
    keys: dict[str, Callable[[Trajectory], Any]] = {
        "first": lambda trajectory: trajectory.seq,
        "shortest": lambda trajectory: (trajectory.num_tokens, trajectory.seq),
        "random": lambda t: draw_key(options.seed, t.prompt_id, t.teacher, t.text),
    }
    by_teacher: dict[str, list[Trajectory]] = {}
    for trajectory in sorted(trajectories, key=keys[options.order]):
        by_teacher.setdefault(trajectory.teacher, []).append(trajectory)
    surplus = {c.seq for mine in by_teacher.values() for c in mine[options.per_teacher :]}
    why = f"more than {options.per_teacher} of one teacher (order: {options.order})"
    return _split(trajectories, dropped, "surplus", lambda trajectory: why if trajectory.seq in surplus else None)


def _split(
    trajectories: Sequence[Trajectory],
    dropped: list[Dropped],
    reason: str,
    objection: Callable[[Trajectory], str | None],
) -> list[Trajectory]:
    kept = []
    for trajectory in trajectories:
        detail = objection(trajectory)
        if detail is None:
            kept.append(trajectory)
        else:
            dropped.append((trajectory, reason, detail))
    return kept
