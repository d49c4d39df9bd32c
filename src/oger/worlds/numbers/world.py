"""The numbers world: rows with verified trajectories, and the shipped base policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from oger.words import choose
from oger.worlds.curated import CuratedWorld
from oger.worlds.numbers.classify import strategy_of
from oger.worlds.numbers.problems import SOURCES, Problem, draw_problems
from oger.worlds.numbers.teachers import TEACHERS, trajectory

POLICY_FOLDER = Path(__file__).parent / "policy"

_UNIONS = {"ood": "ood_", "hard_ood": "hard_ood_"}
PARTS = {name: (name,) for name in SOURCES} | {
    union: tuple(name for name in SOURCES if name.startswith(prefix)) for union, prefix in _UNIONS.items()
}  # the sources that make up each split


class NumbersWorld(CuratedWorld):
    """The numbers game, in and out of the base policy's reach; `ood` and `hard_ood` are unions of three splits each."""

    name = "numbers"
    splits = tuple(PARTS)
    max_completion_length = 104

    def max_completion_length_of(self, split: str) -> int:
        """Tokens that hold every right teacher trajectory of the split and its EOS; more numbers take more room."""
        return 152 if any(SOURCES[part].count > 4 for part in PARTS[split]) else self.max_completion_length

    def raw_trajectories(self, split: str, *, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
        """Rows of a split with all that the teachers wrote, unverified."""
        return list(islice(_alternating(choose(PARTS, split, "split"), seed), limit))

    def strategy_of(self, row: Mapping[str, Any], text: str) -> str | None:
        """How a correct text solves a row: see `oger.worlds.numbers.classify.strategy_of`."""
        task = json.loads(row["metadata"])["metadata"]
        return strategy_of(text, task["numbers"], task["target"])

    def base_policy(self) -> Path:
        """The policy that ships with the package; `python -m oger.worlds.numbers.pretrain --out DIR` rebuilds it."""
        return POLICY_FOLDER


def _alternating(parts: tuple[str, ...], seed: int) -> Iterator[dict[str, Any]]:
    streams = {part: draw_problems(part, seed) for part in parts}
    while streams:
        for part, stream in list(streams.items()):
            problem = next(stream, None)
            if problem is None:
                del streams[part]
            else:
                yield _row(part, problem)


def _row(part: str, problem: Problem) -> dict[str, Any]:
    written = {teacher.name: trajectory(teacher, problem) for teacher in TEACHERS}
    return {
        "prompt": problem.prompt,
        "answer": str(problem.target),
        "kind": "reasoning_gym",
        "family": _FAMILIES[part],
        "metadata": json.dumps(_entry(problem)),
        "teachers": [{"teacher": name, "text": text} for name, text in written.items() if text],
    }


_FAMILIES = {part: part.removeprefix("hard_").removeprefix("ood_") if "ood_" in part else "four" for part in SOURCES}
"""What is asked in a part: four numbers, more numbers, larger targets, or the fixed one."""


def _entry(problem: Problem) -> dict[str, Any]:
    """As reasoning-gym's `countdown` writes an entry, as far as its scorer reads it."""
    return {
        "question": problem.prompt,
        "answer": str(problem.target),
        "metadata": {"source_dataset": "countdown", "numbers": list(problem.numbers), "target": problem.target},
    }
