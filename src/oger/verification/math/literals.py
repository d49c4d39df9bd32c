r"""Answers that are one written number, with or without a unit: read exactly, compared exactly.

A literal is an integer, a decimal (also a repeating one), a fraction, a mixed number or a number in scientific
notation, with a sign, thousands separators, a percent sign, money or a unit. What it is worth is a `Fraction`; nothing
is rounded.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from oger.verification.math.nouns import may_stand_for, stems
from oger.verification.math.units import Unit, read_unit

_MAX_EXPONENT = 5000  # of a number in scientific notation: beyond it, the second check compares logarithms
_N = r"(?:(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+|\d+)(?:\.\d*)?|\.\d+)"
_BRACED_N = rf"\{{\s*([+-]?\s*{_N})\s*\}}"
_TIMES = r"(?:\\times|\\cdot|\*|x|X)"
_PATTERNS = {
    "repeating": re.compile(r"(\d*)\.(\d*)(?:\\overline\{(\d+)\}|\((\d+)\)|\\dot\{(\d)\}(?:(\d*)\\dot\{(\d)\})?)"),
    "power": re.compile(rf"(?:({_N})\s*{_TIMES}\s*)?10\s*\^\s*(?:\{{\s*([+-]?\s*\d+)\s*\}}|([+-]?\d+))(?![\d.])"),
    "exponent": re.compile(rf"({_N})[eE]([+-]?\d+)(?![\d.a-zA-Z])"),
    "mixed": re.compile(
        r"(\d+)\s*(?:(?:\\frac\s*\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\})|(?:\s(?:and\s)?(\d+)\s*/\s*(\d+)))(?![\d./^!])"
    ),
    "fraction": re.compile(rf"\\frac\s*{_BRACED_N}\s*{_BRACED_N}"),
    "slash": re.compile(rf"({_N})\s*/\s*([+-]?{_N})(?![\d/^!])"),
    "decimal": re.compile(rf"({_N})(?!\d|\^(?!\\circ)|[!(/])"),
}
_SCALES = {"dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALE = re.compile(r"\s*(dozen|hundred|thousand|million|billion|trillion)s?\b", re.I)
_PERCENT = re.compile(r"\s*(?:%|percent\b|per cent\b|percentage\b|pct\b)", re.I)
_MONEY = re.compile(r"^(?:US|USD|U\.S\.)?\s*(\\\$|€|£|¥|₹|(?:Rs|INR|USD|EUR)\.?(?=[\s\d]))\s*")
_NOUN = re.compile(r"^[A-Za-z][A-Za-z.'-]{2,}(?: [A-Za-z.'-]+){0,5}$|^(?:am|pm|a\.m|p\.m|or|no|if)$", re.I)
_MIXED = re.compile(
    rf"({_N}|{_N}?\s*\\frac\s*\{{\d+\}}\s*\{{\d+\}})\s*([A-Za-z.'\"^\\°]+(?:\s*[CF])?)[\s,]*(?:and\s+)?"
)
_ANGLE_PARTS = ((r"^\circ", Fraction(1)), ("'", Fraction(1, 60)), ("''", Fraction(1, 3600)), ('"', Fraction(1, 3600)))
_COMPARISON = re.compile(r"\b(?:than|times|minus|plus|over)\b", re.I)  # 5 more than x is no 5
_PRIME = read_unit("'")
_MAX_UNIT_WORDS = 8
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_WORD_NUMBERS = {word: value for value, word in enumerate(_WORDS)}


@dataclass(frozen=True)
class Quantity:
    """A number as it was written, and what it counts."""

    value: Fraction
    unit: Unit | None = None
    noun: str = ""
    """The words after the number, and after its unit, that are none ("apples", "profit" of "5 dollars profit")."""
    percent: bool = False
    decimals: int | None = None
    """Digits after the point of a plain decimal; None for every other way of writing."""
    significant: int = 0

    def latex(self) -> str:
        """The bare number; a percentage as its hundredth."""
        value = self.value / 100 if self.percent else self.value
        if self.decimals is not None and not self.percent:
            digits = str(abs(int(value * 10**self.decimals))).zfill(self.decimals + 1)
            point = len(digits) - self.decimals
            return f"{'-' if value < 0 else ''}{digits[:point]}.{digits[point:] or '0'}"
        top, bottom = value.as_integer_ratio()
        return str(top) if bottom == 1 else f"\\frac{{{top}}}{{{bottom}}}"


def read_quantity(text: str) -> Quantity | None:
    r"""The literal that all of `text` (cleaned) is, or None.

    >>> read_quantity("1,234.50").value
    Fraction(2469, 2)
    >>> read_quantity(r"2\frac{1}{2}").value
    Fraction(5, 2)
    >>> read_quantity("x") is None
    True
    """
    text = text.strip()
    if text.casefold() in _WORD_NUMBERS:
        return Quantity(Fraction(_WORD_NUMBERS[text.casefold()]))
    sign, text = _sign(text)
    unit = None
    if money := _MONEY.match(text):
        unit = read_unit(money[1].removeprefix("\\").rstrip("."))
        second_sign, text = _sign(text[money.end() :])
        sign *= second_sign
    if mixed := _read_mixed(text):
        return Quantity(sign * mixed[0], mixed[1])
    number = _read_number(_unwrap_braces(text))
    if number is None:
        return None
    value, decimals, significant, rest = number
    if scale := _SCALE.match(rest):
        value, decimals, rest = value * _SCALES[scale[1].casefold()], None, rest[scale.end() :]
    percent = _PERCENT.match(rest)
    if percent:
        rest = rest[percent.end() :]
    glued = rest[:1].isalpha()
    rest = rest.strip()
    noun = ""
    if rest:
        found, noun = (None, rest) if glued and len(rest) == 1 else _unit_and_noun(rest)  # 5m: times m; 5 m: metres
        if noun and (not _NOUN.match(rest) or _COMPARISON.search(noun)):
            return None
        if found is not None and unit is not None and found != unit:
            return None
        unit = found or unit
    return Quantity(sign * value, unit, noun, percent is not None, decimals, significant)


def _read_mixed(text: str) -> tuple[Fraction, Unit] | None:
    r"""5 ft 6 in, 5 hours 30 minutes, 5'6", 30^\circ 15': (value in the first unit, that unit)."""
    parts: list[tuple[Fraction, str]] = []
    position = 0
    while position < len(text):
        match = _MIXED.match(text, position)
        number = _read_number(match[1]) if match else None
        if match is None or number is None or number[3].strip():
            return None
        parts.append((number[0], match[2].strip()))
        position = match.end()
    if not 2 <= len(parts) <= 4:
        return None
    names = [name for _, name in parts]
    if names[0] == r"^\circ":
        sizes = dict(_ANGLE_PARTS)
        if not all(name in sizes for name in names):
            return None
        return sum((value * sizes[name] for value, name in parts), Fraction(0)), _unit(r"^\circ")
    if names == ["'", '"'] or names == ["'", "''"]:
        names = ["ft", "in"]
    units = [read_unit(name) for name in names]
    first = units[0]
    if first is None or not first.dimension:
        return None
    total, last = Fraction(0), None
    for (value, _), unit in zip(parts, units, strict=True):
        if unit is None or unit.dimension != first.dimension or (last is not None and unit.factor >= last):
            return None
        total, last = total + value * unit.ratio_to(first), unit.factor
    return total, first


def _unit(name: str) -> Unit:
    unit = read_unit(name)
    assert unit is not None
    return unit


def _unit_and_noun(text: str) -> tuple[Unit | None, str]:
    """The longest unit at the start of some words, and the words after it."""
    words = text.split()
    for count in range(min(len(words), _MAX_UNIT_WORDS), 0, -1):
        head = " ".join(words[:count])
        if (count == len(words) or (len(head) > 1 and head.casefold() != "in")) and (unit := read_unit(head)):
            return unit, " ".join(words[count:])
    return None, text


def _sign(text: str) -> tuple[int, str]:
    stripped = text.lstrip()
    if stripped[:1] in ("+", "-"):
        return (-1 if stripped[0] == "-" else 1), stripped[1:].lstrip()
    return 1, stripped


def _unwrap_braces(text: str) -> str:
    return text[1:-1].strip() if re.fullmatch(r"\{[^{}]*\}", text) else text


def _read_number(text: str) -> tuple[Fraction, int | None, int, str] | None:
    """(value, decimals, significant digits, the rest of the text)."""
    for name, pattern in _PATTERNS.items():
        match = pattern.match(text)
        if match is None:
            continue
        try:
            value = _READERS[name](match)
        except ZeroDivisionError:
            return None
        if value is None:
            return None
        decimals, significant = None, 0
        if name == "decimal" and "." in match[1]:
            whole, _, after = match[1].partition(".")
            decimals, significant = len(after), len((whole + after).replace(",", "").replace(" ", "").lstrip("0"))
        return value, decimals, significant, text[match.end() :]
    return None


def _number(digits: str) -> Fraction:
    return Fraction(digits.replace(",", "").replace(" ", ""))


def _repeating(match: re.Match[str]) -> Fraction:
    whole, fixed = match[1] or "0", match[2]
    period = match[3] or match[4] or (match[5] + (match[6] or "") + (match[7] or ""))
    scale = 10 ** len(fixed)
    return Fraction(int(whole + fixed), scale) + Fraction(int(period), scale * (10 ** len(period) - 1))


def _scientific(mantissa: str | None, exponent: str) -> Fraction | None:
    power = int(exponent.replace(" ", ""))
    if abs(power) > _MAX_EXPONENT:
        return None
    return _number(mantissa or "1") * Fraction(10) ** power


_READERS = {
    "repeating": _repeating,
    "power": lambda match: _scientific(match[1], match[2] or match[3]),
    "exponent": lambda match: _scientific(match[1], match[2]),
    "mixed": lambda match: Fraction(match[1]) + Fraction(int(match[2] or match[4]), int(match[3] or match[5])),
    "fraction": lambda match: _number(match[1]) / _number(match[2]),
    "slash": lambda match: _number(match[1]) / _number(match[2]),
    "decimal": lambda match: _number(match[1]),
}


def same_quantity(gold: Quantity, answer: Quantity) -> bool:
    """Equal by the rules that `math_grader` states."""
    if not _count_the_same(gold, answer):
        return False
    angles = [side.unit.angle for side in (gold, answer) if side.unit is not None]
    if sorted(angles) == ["degree", "radian"]:
        return False  # a rational number of degrees is no rational number of radians, but for none
    if gold.unit is not None and answer.unit is not None:
        ratio = answer.unit.ratio_to(gold.unit)
        if ratio != 1:
            return gold.value == answer.value * ratio
    if gold.percent != answer.percent:
        percent, number = (gold, answer) if gold.percent else (answer, gold)
        return number.value == percent.value / 100 or (number.value == percent.value and abs(number.value) > 1)
    return gold.value == answer.value or (not _is_finite_decimal(answer.value) and rounds_to(gold, answer.value))


def rounds_to(gold: Quantity, value: Fraction) -> bool:
    """Is the decimal `gold` of three significant digits and more what `value` gives when rounded to its digits?"""
    if gold.decimals is None or gold.significant < 3:
        return False
    return abs(value - gold.value) * 2 * 10**gold.decimals <= 1


def _is_finite_decimal(value: Fraction) -> bool:
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    return denominator == 1


def _count_the_same(gold: Quantity, answer: Quantity) -> bool:
    """May the two be counts of the same thing? What only one side says is ignored, what both say must agree."""
    if gold.unit is not None and answer.unit is not None and gold.unit.differs_from(answer.unit):
        return False
    if any(side.unit == _PRIME for side in (gold, answer)) and gold.unit != answer.unit:
        return False  # a mark that is easily overlooked, not a unit that is understood
    if answer.unit is not None and answer.noun.startswith("of ") and gold.noun and gold.unit is None:
        return False  # pounds of apples are no apples
    said = [_says(side) for side in (gold, answer)]
    if all(said) and not said[0] & said[1]:
        return False  # 12 people beside 12 days, 12 apples beside 12%
    return may_stand_for(answer.noun, gold.noun)


def _says(side: Quantity) -> set[str]:
    kinds = {"unit": side.unit is not None and bool(side.unit.dimension), "percent": side.percent}
    return {kind for kind, present in (*kinds.items(), ("noun", bool(stems(side.noun)))) if present}
