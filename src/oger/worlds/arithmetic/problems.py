"""Problems of the arithmetic world: drawn from reasoning-gym, divided into splits that share no problem.

Every in-distribution problem belongs to exactly one part (pre-training, train, validation, test) by a checksum of what
it asks, whatever seed draws it. The out-of-distribution splits use other generator options (more terms, larger numbers,
another family) that cannot produce an in-distribution problem; the held-out family is divided like the others, because
a little of it is in the pre-training part.

The splits of the hard regime have options of their own again, from which no problem of the splits above can come, and
divide their problems by the same checksum.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from oger.worlds.arithmetic.families import FAMILIES, HELD_OUT_FAMILIES, TRAINED_FAMILIES, Family, Problem

_PART_BOUNDS = {"pretraining": 40, "train": 76, "validation": 86, "test": 100}  # upper bounds, in percent
_HARD_PART_BOUNDS = {"hard_train": 56, "hard_validation": 70, "hard_test": 100}

_MAX_DRAWS_PER_PROBLEM = 200  # a part holds at least 8 % of the problems, so this many misses mean the family ran out
_NOT_PRETRAINED = frozenset(_PART_BOUNDS) - {"pretraining"}


@dataclass(frozen=True)
class Draw:
    """One problem of one family, with reasoning-gym's entry for its scorer."""

    family: Family
    problem: Problem
    entry: Mapping[str, Any]

    @property
    def prompt(self) -> str:
        """What the policy reads."""
        return self.family.render(self.problem)


@dataclass(frozen=True)
class _Source:
    """Where the problems of a split come from: one generator of one family, restricted to some parts (None = all)."""

    family: Family
    options: Mapping[str, Any]
    parts: frozenset[str] | None
    size: int
    accepts: Callable[[Problem], bool] | None = None


def _in_distribution(part: str, sizes: Sequence[int]) -> list[_Source]:
    return [
        _Source(family, family.in_distribution, frozenset({part}), size)
        for family, size in zip(TRAINED_FAMILIES, sizes, strict=True)
    ]


def _hard(part: str, sizes: Sequence[int]) -> list[_Source]:
    ranges = [(family, family.hard) for family in TRAINED_FAMILIES if family.hard]
    return [
        _Source(family, hard.options, frozenset({part}), size, hard.accepts)
        for (family, hard), size in zip(ranges, sizes, strict=True)
    ]


SOURCES: Mapping[str, list[_Source]] = {
    "train": _in_distribution("train", (860, 860, 470, 470)),
    "validation": _in_distribution("validation", (64,) * 4),
    "test": _in_distribution("test", (100,) * 4),
    "ood_longer": [_Source(f, f.longer, None, 44) for f in TRAINED_FAMILIES if f.longer],
    "ood_larger": [_Source(f, f.larger, None, 64) for f in TRAINED_FAMILIES if f.larger],
    "ood_family": [_Source(f, f.in_distribution, _NOT_PRETRAINED, 140) for f in HELD_OUT_FAMILIES],
    "hard_train": _hard("hard_train", (600, 600, 150, 480)),
    "hard_validation": _hard("hard_validation", (56, 56, 32, 56)),
    "hard_test": _hard("hard_test", (112, 112, 64, 112)),
    "hard_ood": [_Source(f, f.hard_ood.options, None, 80, f.hard_ood.accepts) for f in FAMILIES.values()],
}
OOD_SPLITS = ("ood_longer", "ood_larger", "ood_family")


def parts_of(key: str) -> frozenset[str]:
    """The parts that a problem belongs to, one for each regime, from a checksum of its key."""
    percent = crc32(key.encode()) % 100
    return frozenset(
        next(part for part, bound in bounds.items() if percent < bound) for bounds in (_PART_BOUNDS, _HARD_PART_BOUNDS)
    )


def draw_problems(
    family: Family,
    options: Mapping[str, Any],
    parts: Collection[str] | None,
    seed: str,
    accepts: Callable[[Problem], bool] | None = None,
) -> Iterator[Draw]:
    """Distinct problems of the given parts (None = all), in an order fixed by `seed`, until they seem exhausted.

    With `accepts`, refused problems are passed over and say nothing about exhaustion.
    """
    from reasoning_gym.factory import create_dataset  # slow to import, and most of OGER does not need it

    # reasoning-gym seeds entry i with seed + i: neighbouring seeds would share nearly all entries, checksums do not.
    generator = create_dataset(family.name, seed=crc32(f"{family.name}|{seed}".encode()), size=2**31, **options)
    seen: set[str] = set()
    misses = index = 0
    while misses < _MAX_DRAWS_PER_PROBLEM:
        entry = generator[index]
        index += 1
        problem = family.parse(entry["metadata"])
        if accepts and not (family.accepts(problem) and accepts(problem)):
            continue
        prompt = family.render(problem)
        outside = parts is not None and parts_of(family.key(problem)).isdisjoint(parts)
        if outside or prompt in seen or not family.accepts(problem):
            misses += 1
            continue
        misses = 0
        seen.add(prompt)
        yield Draw(family, problem, entry)


def draw_split(split: str, seed: int) -> list[Draw]:
    """The problems of a split, families alternating."""
    columns = []
    for source in SOURCES[split]:
        stream = draw_problems(source.family, source.options, source.parts, f"{split}|{seed}", source.accepts)
        columns.append([draw for draw, _ in zip(stream, range(source.size), strict=False)])
    longest = max(map(len, columns))
    return [column[row] for row in range(longest) for column in columns if row < len(column)]


def pretraining_problems(family: Family, limit: int = 3000) -> list[Draw]:
    """The problems that the base policy is pre-trained on, at most `limit` of them."""
    stream = draw_problems(family, family.in_distribution, {"pretraining"}, "pretraining")
    return [draw for draw, _ in zip(stream, range(limit), strict=False)]
