r"""Answers in words: names, yes and no, "no solution", times of day, ratios."""

import re
from fractions import Fraction

_EMPTY = frozenset(
    {"no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set", "no such number"}
    | {"there is no solution", "there are no solutions", "no solution exists", "no solutions exist"}
)
_REALS = frozenset({"all real numbers", "all reals", "real numbers", r"\mathbb{R}", r"\mathbb R", r"\R"})
_ALL_REAL = re.compile(r"(?:for )?(?:all|every|any) real(?: numbers?| values?(?: of)?)?(?: [a-z])?")
_UNDEFINED = frozenset({"dne", "does not exist", "undefined", "not defined"})
_SHORT_WORDS = frozenset({"yes", "no", "odd", "even", "am", "pm", "red", "he", "she"})
_TIME = re.compile(r"(\d{1,2})\s*:\s*(\d{2})(?::(\d{2}))?\s*(?:(a|p)\.?\s?m\.?)?", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})\s*(?:(a|p)\.?\s?m\.?)", re.IGNORECASE)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?::|\sto\s)\s*\d+(?:\.\d+)?)+")
_BASE = r"(?:\{\s*\(?\s*(\d+|[a-z]+)\s*\)?\s*\}|(\d))"
_BASED = re.compile(
    rf"([+-]?)\(?\s*([0-9][0-9A-Za-z,]*|[A-Z]{{2,}})\s*\)?\s*(?:_\s*{_BASE}"
    r"|,?\s*\(?\s*(?:in )?base[ -]?\s*(\d+|[a-z]+)\s*\)?)"
)
_BASES = {
    **{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10},
    "sixteen": 16,
}
_POINTS = re.compile(r"[A-Z]{2,3}")
_NOT_IN_TEXT = re.compile(r"[\\^_=+*<>{}\[\]()|\ufffd]")
_OPERATORS = re.compile("[+=*<>^]")
_FUNCTIONS = re.compile(r"^(?:arc)?(?:sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|frac|det|max|min)h?$")


def canonical(text: str) -> str:
    r"""One spelling of the phrases that stand for a set: "no solution" is \emptyset, "all real numbers" an interval."""
    phrase = text.casefold().strip(" .!")
    if phrase in _EMPTY:
        return r"\emptyset"
    if _ALL_REAL.fullmatch(phrase) or phrase in _REALS or text.strip() in _REALS:
        return r"(-\infty,\infty)"
    if phrase in _UNDEFINED:
        return "undefined"
    return text


def words(text: str) -> str:
    """`text` for a comparison as words: no case, no punctuation, no leading article."""
    flat = " ".join(re.findall(r"[^\W_]+", text.replace("'", "").casefold()))
    return re.sub(r"^(?:the|an?) (?=\w)", "", flat)


def is_words(text: str) -> bool:
    """Is a cleaned text language rather than mathematics?"""
    if _NOT_IN_TEXT.search(text):
        return False
    tokens = re.findall(r"[^\W\d_]+", text)
    if not tokens or any(_FUNCTIONS.match(token) for token in tokens):
        return False
    if text.strip().casefold() in _SHORT_WORDS:
        return True
    if re.search("[-/]", text) and all(len(token) <= 3 for token in tokens):
        return False  # ad-bc, AB/CD: products
    long_words = [token for token in tokens if len(token) >= 4 or (len(token) >= 2 and token[0].isupper())]
    return bool(long_words) or sum(len(token) >= 2 for token in tokens) >= 2


def same_words(gold: str, answer: str) -> bool:
    """Compare as words; of two or three capitals, which may be points or variables (AB), the case matters."""
    if words(gold) != words(answer) or set(_OPERATORS.findall(answer)) - set(gold):
        return False
    points = [side for side in (gold.strip(), answer.strip()) if _POINTS.fullmatch(side)]
    return len(points) != 1 or points[0].casefold() in _SHORT_WORDS


def same_based(gold: str, answer: str) -> bool | None:
    """Compare numerals with a base (1101_2) by value, or by digits where one side names none; None: neither does."""
    sides = [_read_based(side) for side in (gold, answer)]
    if sides == [None, None]:
        return None
    if sides[0] is not None and sides[1] is not None:
        return sides[0][1] == sides[1][1]
    plain = re.sub(r"[,\s]", "", answer if sides[1] is None else gold)
    digits = next(side[0] for side in sides if side is not None)
    return plain.casefold().removeprefix("+") == digits.casefold() if re.fullmatch(r"[+-]?\w+", plain) else None


def _read_based(text: str) -> tuple[str, int] | None:
    """(digits, value)."""
    match = _BASED.fullmatch(text.strip())
    if match is None:
        return None
    name = match[3] or match[4] or match[5]
    digits = match[2].replace(",", "")
    base = int(name) if name.isdigit() else _BASES.get(name, 0)
    if not 2 <= base <= 36 or not all(int(digit, 36) < base for digit in digits):
        return None
    return match[1].removeprefix("+") + digits, int(match[1] + digits, base)


def same_time(gold: str, answer: str) -> bool | None:
    """Compare two times of day; a missing "am" or "pm" is accepted. None: they are not both times."""
    gold_time, answer_time = _read_time(gold), _read_time(answer)
    if gold_time is None or answer_time is None:
        return None
    (gold_seconds, gold_half), (answer_seconds, answer_half) = gold_time, answer_time
    if gold_half == answer_half or "" in (gold_half, answer_half):
        both = {gold_half, answer_half} - {""}
        if both and "" in (gold_half, answer_half) and max(gold_seconds, answer_seconds) >= 12 * 3600:
            return _of_day(gold_seconds, gold_half) == _of_day(answer_seconds, answer_half)
        return gold_seconds == answer_seconds
    return False


def _read_time(text: str) -> tuple[int, str] | None:
    if match := _TIME.fullmatch(text.strip()):
        hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
        if hours < 25 and minutes < 60 and seconds < 60:
            return hours * 3600 + minutes * 60 + seconds, (match[4] or "").casefold()
    elif match := _HOUR.fullmatch(text.strip()):
        return int(match[1]) * 3600, match[2].casefold()
    return None


def _of_day(seconds: int, half: str) -> int:
    """Seconds since midnight of a clock of twelve hours; without a half of the day it is one of 24."""
    return seconds if not half else seconds % (12 * 3600) + (12 * 3600 if half == "p" else 0)


def same_ratio(gold: str, answer: str) -> bool | None:
    """Compare a : b (: c) as ratios; None: they are not both ratios."""
    if not (_RATIO.fullmatch(gold.strip()) and _RATIO.fullmatch(answer.strip())):
        return None
    left, right = ([Fraction(part) for part in re.findall(r"\d+(?:\.\d+)?", side)] for side in (gold, answer))
    if len(left) != len(right):
        return False
    return all(a * right[0] == b * left[0] for a, b in zip(left, right, strict=True)) and bool(left[0]) == bool(
        right[0]
    )
