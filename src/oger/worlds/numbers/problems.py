"""Problems of the numbers world: which numbers, which target, and in which split.

A checksum of the sorted numbers and the target gives every problem to one part (pre-training, train, validation, test),
whatever seed draws it, so that two orders of the same numbers never lie in two splits. How many computations solve a
problem decides whether it is one of the reachable or of the hard regime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from random import Random
from zlib import crc32

from oger.worlds.numbers.strategies import STRATEGIES, attempts
from oger.worlds.numbers.terms import OPERATORS, operate

MAX_NUMBER = 12
TARGETS = range(10, 61)
LARGER_TARGETS = range(61, 100)
FIXED_TARGET = 24
"""In no split but its own, and never in pre-training."""

_PART_BOUNDS = {"pretraining": 50, "train": 85, "validation": 90, "test": 100}  # upper bounds, in percent


@dataclass(frozen=True)
class Problem:
    """Reach the target with all the numbers, each used once."""

    numbers: tuple[int, ...]
    target: int

    @property
    def prompt(self) -> str:
        """What the policy reads."""
        return f"{','.join(map(str, self.numbers))}:{self.target}\n"

    @property
    def part(self) -> str:
        """The part that the problem belongs to."""
        percent = crc32(f"{','.join(map(str, sorted(self.numbers)))}:{self.target}".encode()) % 100
        return next(part for part, bound in _PART_BOUNDS.items() if percent < bound)


@lru_cache(maxsize=4096)
def num_solutions(numbers: tuple[int, ...]) -> Counter[int]:
    """Target -> the number of computations that use all the (sorted) numbers and reach it.

    >>> num_solutions((2, 3))
    Counter({5: 1, 1: 1, 6: 1})
    """
    if len(numbers) == 1:
        return Counter(numbers)
    counts: Counter[int] = Counter()
    places = range(len(numbers))
    for size in range(1, len(numbers) // 2 + 1):
        for chosen in combinations(places, size):
            if 2 * size == len(numbers) and 0 not in chosen:
                continue  # the two halves the other way round
            left = num_solutions(tuple(numbers[place] for place in chosen))
            right = num_solutions(tuple(numbers[place] for place in places if place not in chosen))
            for a, ways_a in left.items():
                for b, ways_b in right.items():
                    for value in _values(a, b):
                        counts[value] += ways_a * ways_b
    return counts


@cache
def _values(a: int, b: int) -> tuple[int, ...]:
    """What one operation makes of two values; a sum or a product counts once."""
    large, small = max(a, b), min(a, b)
    values = (operate(large, operator, small) for operator in OPERATORS)
    return tuple(value for value in values if value is not None)


@dataclass(frozen=True)
class _Source:
    """Where the problems of a split come from; part None: the policy has seen none of them, so all may serve."""

    size: int
    ways: range
    part: str | None
    count: int = 4
    targets: range = TARGETS


_MANY, _FEW = range(4, 10_000), range(1, 4)  # computations that solve a problem of four numbers
_UNTAUGHT_SHARE = 0.2
"""Of the hard problems that no teacher can solve, the share that is kept: they are a quarter of a split then."""

SOURCES: Mapping[str, _Source] = {
    "train": _Source(4_000, _MANY, "train"),
    "train_large": _Source(20_000, _MANY, "train"),
    "validation": _Source(256, _MANY, "validation"),
    "test": _Source(400, _MANY, "test"),
    "ood_more": _Source(136, range(200, 100_000), "test", count=5),
    "ood_larger": _Source(132, range(8, 10_000), None, targets=LARGER_TARGETS),
    "ood_fixed": _Source(132, _MANY, None, targets=range(FIXED_TARGET, FIXED_TARGET + 1)),
    "hard_train": _Source(4_000, _FEW, "train"),
    "hard_train_large": _Source(10_000, _FEW, "train"),
    "hard_validation": _Source(200, _FEW, "validation"),
    "hard_test": _Source(400, _FEW, "test"),
    "hard_ood_more": _Source(136, range(16, 200), "test", count=5),
    "hard_ood_larger": _Source(132, _FEW, None, targets=LARGER_TARGETS),
    "hard_ood_fixed": _Source(132, _FEW, None, targets=range(FIXED_TARGET, FIXED_TARGET + 1)),
}


def is_taught(problem: Problem) -> bool:
    """Whether any of the teachers' strategies solves the problem."""
    return any(attempt.solution for name in STRATEGIES for attempt in attempts(name, problem.numbers, problem.target))


def draw_problems(split: str, seed: int) -> Iterator[Problem]:
    """The problems of a split in an order fixed by the seed, none twice."""
    source = SOURCES[split]
    rng = Random(f"{split.removesuffix('_large')}|{seed}")  # the larger split begins with the smaller one
    seen: set[Problem] = set()
    while len(seen) < source.size:
        numbers = tuple(rng.randint(1, MAX_NUMBER) for _ in range(source.count))
        ways = num_solutions(tuple(sorted(numbers)))
        problems = [Problem(numbers, target) for target in source.targets if ways[target] in source.ways]
        if source.targets is TARGETS:
            problems = [problem for problem in problems if problem.target != FIXED_TARGET]
        if source.part:
            problems = [problem for problem in problems if problem.part == source.part]
        if not problems:
            continue
        problem = rng.choice(problems)
        if source.ways.start == 1 and not is_taught(problem) and rng.random() >= _UNTAUGHT_SHARE:
            continue
        if problem not in seen:
            seen.add(problem)
            yield problem
