"""Two expressions, two graders: math-verify and the second check, which decides where they disagree."""

import logging
import re
from typing import Any

from oger.verification.math.literals import read_quantity, rounds_to
from oger.verification.math.notation import protect, unread
from oger.verification.math.structure import split_top
from oger.verification.verdict import Judgement

_CONSTANT = re.compile(r"\+\s*[cC]$")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_DEGREES_INSIDE = re.compile(r"(\d+(?:\.\d+)?)\s*\^\\circ")


def compare_equations(gold: str, answer: str) -> Judgement:
    """Do two cleaned equations say the same? So they do when one is a multiple of the other, or side equals side.

    Raises:
        ValueError: The gold answer cannot be read, or a value is too large.
    """
    from oger.verification.math.second_check import same_up_to_a_factor

    sides = [list(split_top(side, ("=",))) for side in (gold, answer)]
    if len(sides[0]) != len(sides[1]):
        return Judgement(False, note="another number of sides")
    if len(sides[0]) == 2:
        parsed = [[parse_expression(part) for part in side] for side in sides]
        if all(_is_scalar(part) for side in parsed for part in side):
            left, right = (side[0] - side[1] for side in parsed)
            same = same_up_to_a_factor(left, right)
            if same is not None:
                return Judgement(same)
    for side in sides[0]:
        partner = next((other for other in sides[1] if compare_expressions(side, other).correct), None)
        if partner is None:
            return Judgement(False, note="the sides differ")
        sides[1].remove(partner)
    return Judgement(True)


def parse_expression(text: str) -> Any:
    """The sympy expression that math-verify's parser reads in `text`, not evaluated; None when it reads none.

    The parser is called as math-verify calls it, but for upper and lower case, which it would take for the same.
    """
    from latex2sympy2_extended import NormalizationConfig, latex2sympy, normalize_latex
    from latex2sympy2_extended.latex2sympy2 import ConversionConfig
    from math_verify.grader import should_treat_as_complex

    text = _DEGREES_INSIDE.sub(r"(\\frac{\1\\pi}{180})", protect(text))
    if unread(text):
        return None
    # Units are read here; math-verify would take the letter c of x^2 + c for one.
    normalization = NormalizationConfig(
        basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
    )
    text = normalize_latex(text, normalization)
    try:
        return latex2sympy(
            text,
            is_real=not should_treat_as_complex(text),
            convert_degrees=False,
            normalization_config=None,
            conversion_config=ConversionConfig(lowercase_symbols=False),
        )
    except Exception:  # noqa: BLE001 - the parser's boundary: it raises bare exceptions for what it cannot read
        return None


def ask_math_verify(gold: Any, answer: Any) -> bool:
    """math-verify's own verdict on two parsed expressions (or lists of them).

    Its timeouts use signals, which work only on the main thread, so they are off: the pool enforces the deadline.
    """
    from math_verify import verify

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the missing timeouts in every run
    return bool(verify(gold, answer, timeout_seconds=None))


def compare_expressions(gold: str, answer: str) -> Judgement:
    """Do two cleaned expressions without units mean the same?

    math-verify is asked as well when the values have decided, so that disagreements are seen, unless that would take
    seconds and more.

    Raises:
        ValueError: The gold answer cannot be read, or a value is too large.
    """
    from oger.verification.math.second_check import TooLargeError, is_costly, is_slow, same_value

    parsed_gold, parsed_answer = parse_expression(gold), parse_expression(_integration_constant(gold, answer))
    if parsed_gold is None:
        raise ValueError(f"nothing can be read in the gold answer {gold!r}")
    if parsed_answer is None:
        return Judgement(False, note="nothing can be read in the answer")
    second = None
    if _is_scalar(parsed_gold) and _is_scalar(parsed_answer):
        try:
            second = _rounds_to(gold, parsed_answer) or same_value(parsed_gold, parsed_answer)
            costly = is_costly(parsed_gold) or is_costly(parsed_answer)
        except TooLargeError as error:
            raise ValueError(str(error)) from error
        if costly:  # math-verify would work out every digit
            if second is None and parsed_gold == parsed_answer:
                second = True
            if second is None:
                raise ValueError("the value is too large to be evaluated")
            return Judgement(second)
        if second is not None and is_slow(parsed_gold, parsed_answer):
            return Judgement(second)
    first = ask_math_verify(parsed_gold, parsed_answer)
    if second is None or second == first:
        return Judgement(first)
    return Judgement(second, True, f"math-verify says {'equal' if first else 'different'}, the values say otherwise")


def _integration_constant(gold: str, answer: str) -> str:
    """The answer with the constant at its end in the gold answer's case, when that is all that c and C are used for."""
    ends = [_CONSTANT.search(side) for side in (gold, answer)]
    if ends[0] is None or ends[1] is None:
        return answer
    bodies = (side[: end.start()] for side, end in zip((gold, answer), ends, strict=True) if end is not None)
    if any(re.search(r"[cC]", _COMMAND.sub("", body)) for body in bodies):
        return answer
    return answer[: ends[1].start()] + ends[0][0]


def _is_scalar(parsed: Any) -> bool:
    from sympy import Expr

    return isinstance(parsed, Expr)


def _rounds_to(gold: str, parsed_answer: Any) -> bool:
    r"""Is the answer an irrational number that the decimal gold answer was rounded from?"""
    from oger.verification.math.second_check import irrational_value

    number = read_quantity(gold)
    if number is None or number.decimals is None or parsed_answer.free_symbols:
        return False
    value = irrational_value(parsed_answer)
    return value is not None and rounds_to(number, value)
