r"""Two answers without parts: times, ratios, numerals with a base, numbers, words, and expressions with their units."""

import re

from oger.verification.math.expressions import compare_expressions, parse_expression
from oger.verification.math.literals import read_quantity, same_quantity
from oger.verification.math.nouns import may_stand_for
from oger.verification.math.phrases import is_words, same_based, same_ratio, same_time, same_words
from oger.verification.math.structure import split_top
from oger.verification.math.units import Unit, read_unit
from oger.verification.verdict import Judgement

_GLUED_UNIT = re.compile(
    r"^(.*[\d}](?=[a-zA-Z])|.*[\da-zA-Z})](?=\^))([a-zA-Z]{2,}(?:\^\{?[23]\}?)?|\^\\circ\s*[CF]?)$"
)
_CHOICE = re.compile("[A-J]")
_LABELLED = re.compile(
    r"(?:\(\s*([A-J])\s*\)[.:]?|([A-J])(?:\)[.:]?|[.:](?=\s)|(?=\s?\([^()]*\)$)))\s*(?:\S.*)?", re.DOTALL
)
_PERCENT = re.compile(r"(.*\S)\s*(?:%|\bpercent)", re.DOTALL)
_BARE_COMMAND = re.compile(r"\\(?!(?:pi|infty)(?![a-zA-Z]))[a-zA-Z]+(?:\s*[_^]\s*(?:\{[^{}]*\}|\w))*$")
_COUNTED = re.compile(r"(.*[\d})!])\s+([a-z]{3,}(?: [a-z]+){0,4})", re.DOTALL)
_LETTER_APART = re.compile(r"(.*[\d}])\s+([a-zA-Z])", re.DOTALL)
_TRIGONOMETRIC = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")


def compare_leaves(gold: str, answer: str) -> Judgement:
    """Do two cleaned answers that have no parts mean the same?

    Raises:
        ValueError: The gold answer cannot be read, or a value is too large.
    """
    if _CHOICE.fullmatch(gold) and (labelled := _LABELLED.fullmatch(answer)):
        return Judgement(gold == labelled[1] or gold == labelled[2], note="a letter")
    for compare in (same_time, same_ratio, same_based):
        decided = compare(gold, answer)
        if decided is not None:
            return Judgement(decided)
    gold, answer = _with_variable(gold, answer), _with_variable(answer, gold)
    gold_number, answer_number = read_quantity(gold), read_quantity(answer)
    if gold_number is not None and answer_number is not None:
        return Judgement(same_quantity(gold_number, answer_number))
    if is_words(gold) and gold_number is None:
        return Judgement(same_words(gold, answer))
    if not any(character.isalnum() for character in answer):
        return Judgement(False, note="no number and no letter")
    if is_words(answer) and answer_number is None:
        return Judgement(False, note="words instead of mathematics")
    return _compare_percents(gold, answer) or _compare_with_units(gold, answer)


def _with_variable(text: str, other: str) -> str:
    """`5 m` as 5m, where m is a variable on the other side (5m, m\\sqrt{3}) and hence no unit."""
    found = _LETTER_APART.fullmatch(text)
    bare = re.sub(r"\\[a-zA-Z]+", "", other)
    if found is None or not re.search(rf"(?<![a-zA-Z\s/]){found[2]}(?![a-zA-Z^/])", bare):
        return text
    return f"{found[1]}{found[2]}"


def _compare_with_units(gold: str, answer: str) -> Judgement:
    sides = _split_measure(gold), _split_measure(answer)
    (gold, gold_unit, gold_noun), (answer, answer_unit, answer_noun) = sides
    if not may_stand_for(answer_noun, gold_noun) or (answer_noun and gold_unit) or (gold_noun and answer_unit):
        return Judgement(False, note="other things are counted")
    angles = [unit.angle if unit else "" for unit in (gold_unit, answer_unit)]
    if set(angles) == {"degree", "radian"}:
        gold, answer = (
            _in_radians(side) if angle == "degree" else side for side, angle in ((gold, angles[0]), (answer, angles[1]))
        )
        return compare_expressions(gold, answer)
    if gold_unit is not None and answer_unit is not None:
        if gold_unit.differs_from(answer_unit):
            return Judgement(False, note="different units")
        ratio = answer_unit.ratio_to(gold_unit)
        if ratio != 1:
            answer = f"\\frac{{{ratio.numerator}}}{{{ratio.denominator}}}({answer})"
    judgement = compare_expressions(gold, answer)
    if judgement.correct or sorted(angles) != ["", "degree"] or (gold_unit is not None and answer_unit is not None):
        return judgement
    return compare_expressions(_in_radians(gold) if angles[0] else gold, _in_radians(answer) if angles[1] else answer)


def _in_radians(text: str) -> str:
    return f"\\frac{{\\pi}}{{180}}({text})"


def _compare_percents(gold: str, answer: str) -> Judgement | None:
    """Compare where an expression that is no plain number has a percent sign behind it."""
    bare = [_PERCENT.fullmatch(side) for side in (gold, answer)]
    if bare == [None, None]:
        return None
    cores = [found[1] if found else side for found, side in zip(bare, (gold, answer), strict=True)]
    if None not in bare:
        return _compare_with_units(*cores)
    hundredth = [f"\\frac{{1}}{{100}}({core})" if found else core for found, core in zip(bare, cores, strict=True)]
    judgement = _compare_with_units(*hundredth)
    if judgement.correct or not _is_above_one(cores[0]):
        return judgement
    return _compare_with_units(*cores)


def _is_above_one(text: str) -> bool:
    """Is the size of an irrational number above 1, so that a percent sign may be missing?"""
    from oger.verification.math.second_check import irrational_value

    parsed = parse_expression(text)
    value = (
        None
        if parsed is None or not hasattr(parsed, "free_symbols") or parsed.free_symbols
        else irrational_value(parsed)
    )
    return value is not None and abs(value) > 1


def _split_measure(text: str) -> tuple[str, Unit | None, str]:
    """(expression, unit, counted noun); a literal loses the words and the money sign that no parser reads."""
    number = read_quantity(text)
    if number is not None:
        return number.latex(), number.unit, number.noun
    text, unit = _split_unit(text)
    if unit is None and (counted := _COUNTED.fullmatch(text)):
        return counted[1], None, counted[2]
    return text, unit, ""


def _split_unit(text: str) -> tuple[str, Unit | None]:
    if _TRIGONOMETRIC.search(text):
        return text, None  # the degrees belong to the argument
    if glued := _GLUED_UNIT.match(text):
        unit = read_unit(glued[2])
        if unit is not None and not (unit.angle and _has_terms(glued[1])):
            return glued[1].strip(), unit
    blanks = [match.start() for match in re.finditer(" ", text)][-6:]
    for blank in blanks:
        head, tail = text[:blank].strip(), text[blank:].strip()
        unit = read_unit(tail)
        if unit is None or not head or head[-1] in "+-*/^(\\" or (unit.angle == "degree" and _has_terms(head)):
            continue
        if _BARE_COMMAND.search(head):
            continue  # \angle A, \log_2 n
        # Beside variables a single letter is one of them: c^2 m.
        if len(tail) > 1 or not re.search("[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", "", head)):
            return head, unit
    return text, None


def _has_terms(text: str) -> bool:
    """Is an expression a sum? A degree sign belongs to the last term alone."""
    return any(len(split_top(text.lstrip("+-"), (sign,))) > 1 for sign in "+-")
