r"""Mathematical equality: what the kind "math" takes for the same answer.

An answer is cleaned (`answer_text`), taken apart at its brackets and separators (`structure`), and its parts compared:
written numbers exactly (`literals`), words as words (`phrases`), and every other expression by two graders: math-verify
and a check of our own (`second_check`). Where that check is sure, it decides and the judgement says that it overruled.

Rulings, where mathematicians may differ:

- **Numbers** are equal when exactly equal: 0.5, 1/2 and 3/6 are; 0.333 is not 1/3. One exception: a gold answer that is
  a decimal of at least three significant digits accepts an exact value with no finite decimal form that rounds to it
  (\sqrt{2} for 1.414), because such a gold answer was rounded by whoever wrote it.
- **Units**: a unit that only one side has is ignored; two units must agree or convert exactly (500 cm is 5 m; 5 cm is
  not 5 m), mixed ones too (5 ft 6 in). A bare letter glued to a number is a variable (5m), one set apart or in \text
  is a unit (5 m), unless the other side has it for a variable. A letter with a power is a variable, but m^2 and m^3;
  so are small n, j, v and w. Money is a unit. Degrees too; an angle in radians equals its degrees; a degree sign
  behind a sum belongs to its last term.
- **Words behind a number**: what the gold answer (with adjectives) or the question names, or an everyday counted thing
  by itself (5 apples). Anything else says something else (5 squared, 5 not, 5 tenths, 5 fails). Two nouns must agree;
  a unit, a percent sign and a noun exclude each other.
- **Percent**: 50\% equals 1/2; a sign that only one side has is also ignored when the number is above 1 (50 for 50\%),
  unless the question is known and speaks of no share: then 7\% is no 7.
- **Moduli**: one that only one side has is ignored (7 mod 10 for 7) where the residue is reduced: 5 mod 3 is no 5.
- **Several answers**: sets and lists have no order, a list repeats what it repeats; tuples, matrices and lists beside
  tuples have one. \pm stands for two answers. A subset or a superset is wrong. {5} equals 5.
- **Intervals**: ends open or closed must agree; (1, 2) is both a pair and an open interval; x < 2 is (-\infty, 2).
  Between inequalities "or" unites and "and" intersects.
- **Equations**: a name in front (x = 3) is ignored when only one side has one; two names must agree. An equation stands
  for a value only behind one name (not 2x = 4, not |x| = 4) or when its left side holds no letter. Equations are equal
  when one is a multiple of the other, or side equals side. An answer that says 4 = 3 is wrong.
- **Identities** hold where both sides are real; see `second_check`.
- **Letters**: case matters (R is not r, AB not ab), but for a name in front of = and a constant of integration, + C.
- **Notation** that the parser drops or misreads is never evaluated (`notation`): only the same text is equal to it.
- **Times and ratios**: 3:30 PM accepts 3:30 and 15:30, not 3:30 AM; 6:8 is the ratio 3:4.
- **Words**: case, punctuation and a leading article are ignored. "no solution" is the empty set.
- **Nothing** is wrong. A gold answer that cannot be read, or a value too large to be represented, raises ValueError.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from oger.verification.math.answer_text import clean
from oger.verification.math.expressions import compare_equations, compare_expressions
from oger.verification.math.leaves import compare_leaves
from oger.verification.math.literals import read_quantity
from oger.verification.math.naming import (
    as_tuple,
    assignment,
    bindings,
    is_reduced,
    same_name,
    split_modulus,
    without_membership,
)
from oger.verification.math.nouns import without_named_noun
from oger.verification.math.phrases import canonical, is_words, words
from oger.verification.math.remarks import as_equation, family, same_argument, same_parameters, without_remark
from oger.verification.math.structure import (
    Structure,
    as_matrix,
    joined_thousands,
    nesting,
    read_structure,
    says_or,
    separate_numbers,
    split_top,
)
from oger.verification.math.vectors import as_vector
from oger.verification.verdict import Judgement

_MAX_CHARACTERS = 2000
_MAX_ITEMS = 100
_MAX_QUESTION = 20_000
_MAX_DEPTH = 50  # of brackets: beyond it the parsers take minutes, and nobody answers so
_PLAIN_INTEGER = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d+)")
_RELATION = re.compile(r"[<>]|\\(?:le|ge|ne|lt|gt|in|notin)(?![a-zA-Z])")
_NUMBERS_ONLY = re.compile(
    r"(?:\\(?:frac|sqrt|pi|cdot|times|div|binom|log|ln|sin|cos|tan)(?![a-zA-Z])|[\d\s+*/^(){}\[\].,!%-])+"
)
_KNOWN_COMMANDS = re.compile(
    r"\\(?:frac|sqrt|pi|cdot|times|div|binom|log|ln|exp|sin|cos|tan|cot|sec|csc|arc(?:sin|cos|tan)|circ|pm|mp|infty"
    r"|[lr](?:floor|ceil|vert)|[lc]?dots|overline|\$)(?![a-zA-Z])"
)
_OPERATOR_RUN = re.compile(r"([-+!^_%'\\])\1{19}")
_BLANK = re.compile(r"\s+(?!\w)|(?<!\w)\s+")  # between two words or numbers a blank means something
_SHARE = re.compile(r"^([+-]?\d+(?:\.\d+)?)\s*%$")
_SPEAKS_OF_SHARES = re.compile(
    r"%|per ?cent|\b(?:probab|chance|likel|rate|ratio|interest|discount|tax|share|increase|decrease)", re.I
)
_APPROXIMATELY = re.compile(r"^(?:\\approx|\\sim|approximately|about|approx\.?)\s*")


def instant_math(gold: str, extracted: str, metadata: Any = None) -> bool | None:
    """Decide plain integers (sign, thousands separators, dollars around), in linear time; None for all else."""
    # Blanks are stripped, not matched: two runs of them in one pattern take time quadratic in their length.
    bare = (side.strip().removeprefix("$").removesuffix("$").strip() for side in (gold, extracted))
    sides = [_PLAIN_INTEGER.fullmatch(side) if side.isascii() else None for side in bare]
    if sides[0] is None or sides[1] is None:
        return None
    left, right = ((side[1] == "-", side[2].replace(",", "").lstrip("0")) for side in sides if side is not None)
    return left[1] == right[1] and (left[0] == right[0] or not left[1])


def grade_math(gold: str, extracted: str, metadata: Any = None) -> Judgement:
    """Is `extracted` mathematically the gold answer, by the rulings above?

    Args:
        gold: The gold answer.
        extracted: The answer found in the response.
        metadata: None, or a mapping that may hold the text of the problem as "question": what it counts may stand
            behind a number.

    Raises:
        ValueError: The gold answer cannot be read, an answer has more than 2,000 characters is nested more
            than 50 deep or is a mere run of operators, or a value is too large.
    """
    if max(len(gold), len(extracted)) > _MAX_CHARACTERS:
        raise ValueError(f"an answer of more than {_MAX_CHARACTERS} characters is not evaluated")
    if max(nesting(gold), nesting(extracted)) > _MAX_DEPTH:
        raise ValueError(f"an answer nested more than {_MAX_DEPTH} deep is not evaluated")
    if _OPERATOR_RUN.search(gold) or _OPERATOR_RUN.search(extracted):
        raise ValueError("an answer with a run of twenty equal operators is not evaluated")
    left, right = clean(gold), clean(extracted)
    if isinstance(metadata, Mapping) and isinstance(question := metadata.get("question"), str):
        question = question[:_MAX_QUESTION]
        right = without_named_noun(right, question)
        if "%" not in left and not _SPEAKS_OF_SHARES.search(question):
            right = _SHARE.sub(r"\\frac{\1}{100}", right)
    if not left:
        raise ValueError("the gold answer is empty")
    if not right:
        return Judgement(False, note="the answer is empty")
    return _compare(left, right)


def _compare(gold: str, answer: str) -> Judgement:
    gold, answer = (canonical(_APPROXIMATELY.sub("", without_remark(side))) for side in (gold, answer))
    families = [family(as_equation(side)) for side in (gold, answer)]
    renamed = same_parameters(*families)
    if renamed is None:
        return Judgement(False, note="the parameters run over different sets")
    gold, answer = families[0].body, same_argument(families[0].body, renamed)
    (gold, gold_modulus), (answer, answer_modulus) = split_modulus(gold), split_modulus(answer)
    if gold_modulus and answer_modulus and gold_modulus != answer_modulus:
        return Judgement(False, note="different moduli")
    if answer_modulus and not gold_modulus and not is_reduced(answer, answer_modulus):
        return Judgement(False, note="a residue that is not reduced")
    if _BLANK.sub("", gold) == _BLANK.sub("", answer):
        return Judgement(True)
    if _contradicts_itself(answer):
        return Judgement(False, note="the answer holds a false equation")
    by_name = _compare_bindings(gold, answer)
    if by_name is not None:
        return by_name
    gold, answer = without_membership(gold), without_membership(answer)
    gold_name, gold_value = assignment(gold, of_gold=True)
    answer_name, answer_value = assignment(answer)
    if gold_name and answer_name:
        if not same_name(gold_name, answer_name):
            return compare_equations(gold, answer)
        return _compare(gold_value, answer_value)
    gold_equation, answer_equation = (len(split_top(side, ("=",))) > 1 for side in (gold, answer))
    if gold_name and not answer_equation:
        return _compare(gold_value, answer)
    if answer_name and not gold_equation:
        return _compare(gold, answer_value)
    shapes = read_structure(gold), read_structure(answer)
    if shapes != (None, None):
        return _compare_structures(gold, answer, *shapes)
    if gold_equation and answer_equation:
        return compare_equations(gold, answer)
    if answer_equation:  # 3 + 4 = 7, but not 2x = 4
        sides = split_top(answer, ("=",))
        if not all(_is_closed(side) for side in sides):
            return Judgement(False, note="an equation, not a value")
        return _compare(gold, sides[-1])
    if gold_equation:
        return Judgement(False, note="an equation is asked for")
    return compare_leaves(gold, answer)


def _is_closed(text: str) -> bool:
    """Is a side of an equation free of letters?"""
    bare = _KNOWN_COMMANDS.sub("", text)
    return not re.search(r"[a-df-zA-Z\\]", bare)


def _compare_bindings(gold: str, answer: str) -> Judgement | None:
    """Compare values by their names; None: not both sides give several."""
    named = [bindings(side) for side in (gold, answer)]
    left, right = named
    if left is None and right is None:
        return None
    if right is not None and says_or(answer) and not says_or(gold):
        return Judgement(False, note="one or the other, not both")
    if left is not None and right is not None:
        if left.keys() != right.keys():
            return None
        return _in_order(tuple(left.values()), tuple(right[name] for name in left))
    point = as_tuple(left or right or {})
    other = read_structure(answer if left is not None else gold)
    if point is None or other is None or not (other.form == "tuple" or (other.form == "matrix" and other.columns == 1)):
        return None
    return _compare(point, answer) if left is not None else _compare(gold, point)


def _contradicts_itself(text: str) -> bool:
    """Does an answer hold a false equation between numbers, such as 4 = 3?"""
    sides = [side for side in split_top(text, ("=",)) if _NUMBERS_ONLY.fullmatch(side) and re.search(r"\d|\\pi", side)]
    return any(_differ(left, right) for left, right in pairwise(sides))


def _differ(left: str, right: str) -> bool:
    numbers = [number for number in map(read_quantity, (left, right)) if number is not None]
    if any(number.percent for number in numbers):
        return False
    decimals = [number.decimals for number in numbers if number.decimals is not None]
    if len(numbers) == 2 and decimals:  # the last digit may be rounded
        return abs(numbers[0].value - numbers[1].value) * 10 ** min(decimals) > 1
    return "." not in left + right and not _compare(left, right).correct


def _compare_structures(gold: str, answer: str, left: Structure | None, right: Structure | None) -> Judgement:
    if left is None or right is None:
        return _compare_with_one(gold, answer, left, right)
    pair = {left.form, right.form}
    rows = as_matrix(left), as_matrix(right)
    if None not in rows or ("matrix" in pair and pair != {"matrix"}):
        left, right = rows[0] or left, rows[1] or right
        pair = {left.form, right.form}
    if len(left.items) != len(right.items) and "set" in pair:
        left, right = separate_numbers(left, right), separate_numbers(right, left)
    for shape, other, of_gold in ((left, right, True), (right, left, False)):
        if shape.form == "set" and len(shape.items) == 1 and other.form not in ("set", "list", "union"):
            return _compare(*((shape.items[0], answer) if of_gold else (gold, shape.items[0])))
    if len(left.items) != len(right.items):
        return Judgement(False, note=f"{len(right.items)} parts instead of {len(left.items)}")
    if len(left.items) > _MAX_ITEMS:
        raise ValueError(f"an answer of more than {_MAX_ITEMS} parts is not evaluated")
    if "interval" in pair and pair <= {"interval", "tuple"}:
        left_ends, right_ends = (
            (s.form == "tuple" or s.left_open, s.form == "tuple" or s.right_open) for s in (left, right)
        )
        if left_ends != right_ends:
            return Judgement(False, note="open and closed ends differ")
        return _in_order(left.items, right.items)
    if {left.joined, right.joined} == {"and", "or"} and any(map(_RELATION.search, left.items)):
        return Judgement(False, note="one side says and, the other or")
    if pair <= {"set", "list"} or pair <= {"list", "union"}:
        return _compare_lists(left, right)
    if pair == {"matrix"}:
        if left.columns != right.columns:
            return Judgement(False, note="matrices of different shapes")
        return _in_order(left.items, right.items)
    if pair == {"matrix", "tuple"}:
        if 1 not in (max(left.columns, right.columns), len(left.items) // max(left.columns, right.columns)):
            return Judgement(False, note="a matrix is not a tuple")
        return _in_order(left.items, right.items)
    if pair <= {"tuple", "list"}:
        return _in_order(*(tuple(assignment(item)[1] for item in side.items) for side in (left, right)))
    return Judgement(False, note=f"a {right.form} instead of a {left.form}")


def _compare_with_one(gold: str, answer: str, left: Structure | None, right: Structure | None) -> Judgement:
    """One side has parts, the other has none that were found."""
    shape, plain = (left, answer) if left is not None else (right, gold)
    assert shape is not None
    if (vector := as_vector(plain, shape)) is not None:
        return _compare_structures(gold, answer, left or vector, right or vector)
    if shape.form in ("set", "list", "matrix") and len(shape.items) == 1:
        return _compare(*((shape.items[0], answer) if left is not None else (gold, shape.items[0])))
    if shape.form == "list" and re.fullmatch(r"[+-]?\d+(?:,\d+)+", plain):  # 100,200: taken for a number with thousands
        numbers = Structure("list", tuple(plain.split(",")))
        return _compare_structures(gold, answer, left or numbers, right or numbers)
    if shape.form == "list" and (several := _by_one_name(plain, shape)) is not None:  # x = \pm 2; x = 2 or x = -2
        return _compare_structures(gold, answer, *(several if left is not None else several[::-1]))
    if shape.joined == "and" and read_quantity(gold if left is not None else answer) is not None:
        return compare_leaves(gold, answer)  # 1 hour and 30 minutes
    if shape.form == "list" and (
        number := joined_thousands(gold if left is not None else answer, of_gold=left is not None)
    ):
        return _compare(*((number, answer) if left is not None else (gold, number)))
    if shape.form in ("interval", "union") and read_quantity(plain) is None and not is_words(plain):
        return compare_expressions(gold, answer)
    if shape.form == "list" and left is not None and is_words(gold):
        return Judgement(words(gold) == words(answer))
    return Judgement(False, note="one side has several parts, the other has one")


def _by_one_name(plain: str, shape: Structure) -> tuple[Structure, Structure] | None:
    """The values of a list and of one equation whose value is a list, where all of them have one name."""
    name, value = assignment(plain)
    several = read_structure(value) if name else None
    named = [assignment(item) for item in shape.items]
    if several is None or {found.partition("_")[0].strip() for found, _ in named} != {name}:
        return None
    return Structure("list", tuple(value for _, value in named), joined=shape.joined), several


def _compare_lists(left: Structure, right: Structure) -> Judgement:
    named = [[assignment(item) for item in side.items] for side in (left, right)]
    names = [{name for name, _ in side} for side in named]
    if names[0] != names[1] and {""} in names:  # x = 1, y = 2 beside 1, 2
        items = [tuple(value for _, value in side) for side in named]
        distinct = max(len(names[0]), len(names[1])) > 1
        return _in_order(*items) if distinct else _any_order(*items)
    return _any_order(left.items, right.items)


def _in_order(gold: tuple[str, ...], answer: tuple[str, ...]) -> Judgement:
    overruled = False
    for left, right in zip(gold, answer, strict=True):
        judgement = _compare(left, right)
        overruled |= judgement.overruled
        if not judgement.correct:
            return Judgement(False, overruled, judgement.note)
    return Judgement(True, overruled)


def _any_order(gold: tuple[str, ...], answer: tuple[str, ...]) -> Judgement:
    """Pair the parts off; equality is transitive, so the first partner that fits is as good as any."""
    left_over, overruled = list(answer), False
    for item in gold:
        for position, candidate in enumerate(left_over):
            judgement = _compare(item, candidate)
            if judgement.correct:
                overruled |= judgement.overruled
                del left_over[position]
                break
        else:
            return Judgement(False, overruled, f"{item} is missing")
    return Judgement(True, overruled)
