r"""Three ways to reach a target through subgoals, each of which solves another part of the problems.

An attempt fixes one choice, writes down the subgoal that is left, and looks whether the remaining numbers make it; if
not, it says `no` and the next attempt begins:

    products   3,7,2,5:24   7*5=35 35-24=11 no 3*7=21 24-21=3 5-2=3 \boxed{(3*7)+(5-2)}
               a product of two first, then what must be added to it, or what it must be taken from or reduced by
    pairs      8,4,5,1:24   8-4=4 24/4=6 5+1=6 \boxed{(5+1)*(8-4)}
               two pairs, multiplied or divided
    backward   8,2,5,3:33   33/3=11 11-2=9 no 33/3=11 11+2=13 8+5=13 \boxed{((8+5)-2)*3}
               a factor is taken off the target, further numbers are added to or taken from what is left

None of them scales in the middle of a computation, as in ((5-2)*7)+3: that is left to be found.
With more numbers than two for the subgoal, further ones are taken off it one by one; a single one must be the subgoal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from oger.worlds.arithmetic.pen import Pen
from oger.worlds.numbers.terms import OPERATORS, Term, joined, operate

Build = Callable[[Term], Term]
"""From the term that makes the subgoal to the term that makes what the subgoal came from."""


@dataclass(frozen=True)
class Subgoal:
    """What is left to do: make `value` of `rest`."""

    value: int
    rest: tuple[int, ...]
    steps: tuple[str, ...]
    build: Build


@dataclass(frozen=True)
class Attempt:
    """The steps of one attempt, and the solution if it led to one."""

    steps: tuple[str, ...]
    solution: Term | None
    gap: int
    """The last subgoal: attempts with small ones look most promising."""


def _with(left: Term | None, operator: str, right: Term | None, value: int) -> Build:
    """Put the subgoal's term in the place that is None."""
    return lambda term: Term(value, (left or term, operator, right or term))


def _subgoals(goal: int, known: Term, operators: str, pen: Pen) -> Iterator[tuple[str, int, Build]]:
    """Every way to make `goal` of `known` and one more term, by the last operation: step, subgoal, build."""
    v = known.value
    ways = {
        "+": ((goal, "-", v, _with(known, "+", None, goal)),),
        "-": ((v, "-", goal, _with(known, "-", None, goal)), (goal, "+", v, _with(None, "-", known, goal))),
        "*": ((goal, "/", v, _with(known, "*", None, goal)),),
        "/": ((goal, "*", v, _with(None, "/", known, goal)), (v, "/", goal, _with(known, "/", None, goal))),
    }
    for operator in operators:
        for left, sign, right, build in ways[operator]:
            value = operate(left, sign, right)
            if value is None or (sign == "/" and right == 1) or (sign == "*" and right == 1):
                continue  # a factor of 1 changes nothing
            value = pen(value)
            yield f"{left}{sign}{right}={value}", value, build


def _without(numbers: Sequence[int], *places: int) -> tuple[int, ...]:
    return tuple(number for place, number in enumerate(numbers) if place not in places)


def _pairs_first(
    numbers: Sequence[int], target: int, first: str, last: str, new_pen: Callable[[], Pen]
) -> Iterator[Subgoal]:
    """Join two numbers by one of the operators `first`; the subgoal is what `last` must join to them."""
    for places in combinations(range(len(numbers)), 2):
        for left, right in (places, places[::-1]):
            for operator in first:
                if operator in "+*" and left > right:
                    continue  # the same pair again
                pair = joined(Term(numbers[left]), operator, Term(numbers[right]))
                if pair is None or (operator in "*/" and 1 in (numbers[left], numbers[right])):
                    continue
                pen = new_pen()
                pair = Term(pen(pair.value), pair.parts)
                for step, value, build in _subgoals(target, pair, last, pen):
                    yield Subgoal(value, _without(numbers, *places), (pair.step, step), build)


def _products(numbers: Sequence[int], target: int, new_pen: Callable[[], Pen]) -> Iterator[Subgoal]:
    return _pairs_first(numbers, target, "*", "+-", new_pen)


def _pairs(numbers: Sequence[int], target: int, new_pen: Callable[[], Pen]) -> Iterator[Subgoal]:
    if len(numbers) < 4:
        return iter(())
    return _pairs_first(numbers, target, OPERATORS, "*/", new_pen)


def _backward(numbers: Sequence[int], target: int, new_pen: Callable[[], Pen]) -> Iterator[Subgoal]:
    for place, number in enumerate(numbers):
        for step, value, build in _subgoals(target, Term(number), "*/", new_pen()):
            yield Subgoal(value, _without(numbers, place), (step,), build)


STRATEGIES: Mapping[str, Callable[[Sequence[int], int, Callable[[], Pen]], Iterator[Subgoal]]] = {
    "products": _products,
    "pairs": _pairs,
    "backward": _backward,
}


def _taken_off(subgoal: Subgoal) -> Iterator[Subgoal]:
    """Further subgoals, until two numbers are left (or one, which then is the subgoal or not)."""
    if len(subgoal.rest) <= 2:
        yield subgoal
        return
    for place, number in enumerate(subgoal.rest):
        for step, value, build in _subgoals(subgoal.value, Term(number), "+-", Pen()):
            yield from _taken_off(
                Subgoal(
                    value,
                    _without(subgoal.rest, place),
                    (*subgoal.steps, step),
                    lambda term, inner=build: subgoal.build(inner(term)),  # type: ignore[misc]
                )
            )


def _finished(subgoal: Subgoal) -> Iterator[Attempt]:
    """The attempts that reach the subgoal, one for each way; if there is none, the one that says so."""
    if len(subgoal.rest) == 1:
        makes = [Term(subgoal.rest[0])] if subgoal.rest[0] == subgoal.value else []
    else:
        first, second = (Term(number) for number in subgoal.rest)
        joins = [
            joined(left, operator, right)
            for operator in OPERATORS
            for left, right in ((first, second), (second, first))
            if operator not in "+*" or left is first
        ]
        makes = [term for term in joins if term and term.value == subgoal.value]
    for term in makes:
        steps = subgoal.steps if term.parts is None else (*subgoal.steps, term.step)
        yield Attempt(steps, subgoal.build(term), subgoal.value)
    if not makes:
        yield Attempt((*subgoal.steps, "no"), None, subgoal.value)


def attempts(strategy: str, numbers: Sequence[int], target: int, new_pen: Callable[[], Pen] = Pen) -> list[Attempt]:
    """Every attempt that the strategy allows, in no order of merit; each is written with a pen of its own."""
    return [
        attempt
        for subgoal in STRATEGIES[strategy](numbers, target, new_pen)
        for last in _taken_off(subgoal)
        for attempt in _finished(last)
    ]


def walk(numbers: Sequence[int], rng: Random) -> tuple[list[str], Term] | None:
    """Join two terms at random until one is left: the steps and the last term; None if the game allows no next step."""
    terms = [Term(number) for number in numbers]
    steps = []
    while len(terms) > 1:
        left, right = rng.sample(range(len(terms)), 2)
        term = joined(terms[left], rng.choice(OPERATORS), terms[right])
        if term is None:
            return None
        steps.append(term.step)
        terms = [*(t for place, t in enumerate(terms) if place not in (left, right)), term]
    return steps, terms[0]
