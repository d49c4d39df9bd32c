"""The three teachers: each tells the same worked solution in its own way, and each is wrong at its own rate.

A teacher that errs slips in one calculation and carries the wrong number through the rest, so only the answer gives
it away. The rates are those of the arithmetic world's teachers.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from oger.worlds.arithmetic.pen import slipped
from oger.worlds.word_problems.equations import Equation, evaluate, find_equations, replace_numbers, value_of
from oger.worlds.word_problems.problems import Problem

_MAX_SLIP_DRAWS = 64  # far above what is needed: a slip in the last equation always changes the answer
_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def stepwise(problem: Problem, lines: Sequence[str]) -> str:
    """The solution's own sentences, as numbered steps."""
    return "\n".join(f"Step {number}: {line}" for number, line in enumerate(lines, start=1))


def equations(problem: Problem, lines: Sequence[str]) -> str:
    """Nothing but the calculations."""
    return "\n".join(equation.text for equation in _equations(lines))


def talkative(problem: Problem, lines: Sequence[str]) -> str:
    """What is asked, then every calculation in words."""
    told = [_in_words(equation) for equation in _equations(lines)]
    openings = ["First,", *["Next,"] * (len(told) - 2), "Finally,"] if len(told) > 1 else ["Here,"]
    sentences = [f"{opening} {words}." for opening, words in zip(openings, told, strict=True)]
    return "\n".join([f"We are asked: {problem.asked}", " ".join(sentences)])


@dataclass(frozen=True)
class Teacher:
    """A name, an error rate, and a way of telling the lines of a solution."""

    name: str
    error_rate: float
    tell: Callable[[Problem, Sequence[str]], str]


TEACHERS = (
    Teacher("stepwise", 0.01, stepwise),
    Teacher("equations", 0.05, equations),
    Teacher("talkative", 0.18, talkative),
)


def solve(problem: Problem, teacher: Teacher) -> str:
    """The faultless solution as this teacher tells it."""
    return _told(teacher, problem, problem.lines)


def trajectory(teacher: Teacher, problem: Problem) -> str:
    """What this teacher writes for this problem: always the same, because the draw is seeded by both."""
    rng = Random(f"{teacher.name}|{problem.question}")
    if rng.random() < teacher.error_rate:
        return _told(teacher, problem, lines_with_slip(problem, rng))
    return solve(problem, teacher)


def lines_with_slip(problem: Problem, rng: Random) -> list[str]:
    """The lines of the solution with one slip, drawn until the slip makes the answer wrong.

    Every later number equal to the one that went wrong is written anew, and every later equation calculated anew.
    """
    results = [equation.result for equation in problem.equations]
    places = [place for place, result in enumerate(results) if "." not in result]  # the last is a whole number
    for _ in range(_MAX_SLIP_DRAWS):
        lines = _carried(problem.lines, slip_at=rng.choice(places), rng=rng)
        if lines is not None and _answer(lines) != problem.answer:
            return lines
    raise ValueError(f"no slip changes the answer of: {problem.question}")


def _told(teacher: Teacher, problem: Problem, lines: Sequence[str]) -> str:
    return f"{teacher.tell(problem, lines)}\n\\boxed{{{_answer(lines)}}}"


def _equations(lines: Sequence[str]) -> list[Equation]:
    return find_equations("\n".join(lines))


def _answer(lines: Sequence[str]) -> str:
    return _equations(lines)[-1].result.removesuffix("%").replace(",", "")


def _in_words(equation: Equation) -> str:
    left, _, result = equation.text.partition(" = ")
    spoken = re.sub(r" ([-+*/]) ", lambda sign: f" {_WORDS[sign[1]]} ", left)
    return f"{spoken} is {result}"


def _carried(lines: Sequence[str], slip_at: int, rng: Random) -> list[str] | None:
    """The lines after a slip in equation number `slip_at` (0-based); None where the rest cannot be calculated."""
    changed: dict[Fraction, str] = {}
    written: list[str] = []
    index = 0
    for line in lines:
        pieces: list[str] = []  # what stands outside equations may name a result before it is calculated: last
        calculations: list[str] = []
        end = 0
        for equation in find_equations(line):
            value = evaluate([changed.get(value_of(n), n) for n in equation.numbers], equation.operators)
            if value is None or value < 0:
                return None
            result = _like(equation.result, value) if changed else equation.result
            if index == slip_at:
                plain = int(equation.result.removesuffix("%").replace(",", ""))
                result = _like(equation.result, Fraction(slipped(plain, rng)) / (100 if "%" in equation.result else 1))
            pieces.append(line[end : equation.start])
            start, end = equation.result_span
            calculations.append(replace_numbers(line[equation.start : start], changed) + result)
            if result != equation.result:
                changed = changed | {value_of(equation.result): result}
            index += 1
        texts = [replace_numbers(piece, changed) for piece in [*pieces, line[end:]]]
        written.append("".join(a + b for a, b in zip(texts, [*calculations, ""], strict=True)))
    return written


def _like(original: str, value: Fraction) -> str:
    """The value as the original number is written, at most two decimals; the original where the value is the same."""
    if value == value_of(original):
        return original
    sign = "%" if original.endswith("%") else ""
    commas = "," if "," in original else ""
    return f"{float(value * (100 if sign else 1)):{commas}.2f}".rstrip("0").rstrip(".") + sign
