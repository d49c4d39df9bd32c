"""Word problems of reasoning-gym's gsm_symbolic, divided into splits that share no problem.

The generator has some 85 templates, each a story with names and numbers to fill in, and a worked solution. A problem
is used if its solution is plain arithmetic from beginning to end: every equation in it can be read and is true, and the
last one makes the answer. Short problems (`_LONGEST` equations or fewer) are trained on, except those of the templates
in `_HELD_OUT`; a checksum of the question decides whether a short problem belongs to train, validation or test. The
two out-of-distribution splits hold templates that the other splits never show.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice, zip_longest
from random import Random
from typing import Any
from zlib import crc32

from oger.worlds.word_problems.equations import Equation, find_equations, is_true, value_of

_PART_BOUNDS = {"train": 80, "validation": 88, "test": 100}  # upper bounds, in percent
_MAX_DRAWS_PER_PROBLEM = 150  # a part holds at least 8 % of a template's problems: this many misses = it ran out
_LONGEST = 3  # equations of an in-distribution problem
_HELD_OUT = frozenset({5, 13, 26, 34, 48, 58, 70, 78, 95})  # templates of `_LONGEST` equations or fewer
_TIDY = re.compile(r"(?<=\d)\.0\b(?!\d)")  # 220.0 meters
_BULLET = re.compile(r"^(?:[-•]|\d+\.)\s+")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Problem:
    """One word problem with its worked solution."""

    template: int
    """Number of reasoning-gym's template."""
    question: str
    answer: str
    """A whole number above 0."""
    lines: tuple[str, ...]
    """The lines of the worked solution that calculate something."""

    @cached_property
    def equations(self) -> list[Equation]:
        """The equations of the solution, in order."""
        return find_equations("\n".join(self.lines))

    @property
    def asked(self) -> str:
        """The sentence of the question that asks."""
        sentences = _SENTENCE_END.split(self.question)
        return next((s for s in reversed(sentences) if s.endswith("?")), sentences[-1])


@dataclass(frozen=True)
class _Split:
    """Which problems a split takes: short or long ones, of held-out templates or others, of one part or of all."""

    per_template: int
    is_long: bool = False
    is_held_out: bool = False
    part: str | None = None

    def takes_template(self, problem: Problem) -> bool:
        """Whether the template of this problem belongs here; all problems of a template have as many equations."""
        if self.is_long or len(problem.equations) > _LONGEST:
            return self.is_long == (len(problem.equations) > _LONGEST)
        return self.is_held_out == (problem.template in _HELD_OUT)


SPLITS: Mapping[str, _Split] = {
    "train": _Split(48, part="train"),
    "validation": _Split(4, part="validation"),
    "test": _Split(8, part="test"),
    "ood_template": _Split(16, is_held_out=True),
    "ood_longer": _Split(5, is_long=True),
}
OOD_SPLITS = ("ood_template", "ood_longer")


def part_of(question: str) -> str:
    """The part that a short problem belongs to, from a checksum of its question."""
    percent = crc32(question.encode()) % 100
    return next(part for part, bound in _PART_BOUNDS.items() if percent < bound)


def read_problem(template: int, entry: Mapping[str, Any]) -> Problem | None:
    """The problem of an entry of reasoning-gym, or None where its solution is not plain arithmetic."""
    solution, _, _ = _TIDY.sub("", entry["metadata"]["answer_cot"]).rpartition("####")
    lines = (_BULLET.sub("", line.strip()) for line in solution.splitlines())
    problem = Problem(
        template=template,
        question=_TIDY.sub("", entry["question"]),
        answer=entry["answer"],
        lines=tuple(line for line in lines if "=" in line),
    )
    found = problem.equations
    if not found or len(found) != solution.count("=") or not all(map(is_true, found)):
        return None
    if not problem.answer.isdecimal() or problem.answer == "0":
        return None
    return problem if value_of(found[-1].result.removesuffix("%")) == int(problem.answer) else None


@cache
def _templates() -> dict[int, Any]:
    from reasoning_gym.arithmetic.gsm_symbolic.gsm_symbolic import (  # slow to import
        GSMSymbolicDataset,
        GSMSymbolicDatasetConfig,
        tasks_ok,
    )

    generators = GSMSymbolicDataset(GSMSymbolicDatasetConfig(seed=0, size=1)).generators
    return {template: generators[template] for template in tasks_ok}  # the others are marked as broken


def draw_split(split: str, seed: int) -> Iterator[Problem]:
    """The problems of a split, templates alternating."""
    wanted = SPLITS[split]
    columns = [
        islice(_draws(template, wanted, f"{split}|{seed}|{template}"), wanted.per_template) for template in _templates()
    ]
    for row in zip_longest(*columns):
        yield from filter(None, row)


def _draws(template: int, wanted: _Split, seed: str) -> Iterator[Problem]:
    """Distinct problems of one template that the split takes, until they seem exhausted."""
    rng = Random(seed)
    seen: set[str] = set()
    misses = 0
    while misses < _MAX_DRAWS_PER_PROBLEM:
        misses += 1
        entry = _templates()[template](rng, 1.0)
        question = _TIDY.sub("", entry["question"])
        if question in seen or wanted.part not in (None, part_of(question)):
            continue
        problem = read_problem(template, entry)
        if problem is None:
            continue
        if not wanted.takes_template(problem):
            return
        misses = 0
        seen.add(question)
        yield problem
