r"""The shape of an answer: tuples, sets, lists, intervals, unions, matrices, and what stands between their signs.

`read_structure` looks at brackets and separators only; the parts stay text, to be compared one by one.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Form = Literal["tuple", "set", "list", "interval", "union", "matrix"]

_OPENING = {"(": ")", "[": "]", "{": "}"}
_MATRIX = re.compile(
    r"([+-]?[^&=]*?)\s*(?:\\cdot|\\times|\*)?\s*([(\[|]?)\s*\\begin\{matrix\}(.*)\\end\{matrix\}\s*([)\]|]?)\s*(\^.*)?",
    re.DOTALL,
)
_TRANSPOSED = re.compile(
    r"(.*\S)\s*\^\s*(?:\{\s*(?:T|t|\\top|\\intercal|\\prime|\\mathsf\s*T|\\rm\s*T)\s*\}|T|\\top|\\intercal)", re.DOTALL
)
_ANGLES = re.compile(r"\\langle(.*)\\rangle|<(.*,.*)>", re.DOTALL)
_SCALED = re.compile(  # \frac13(-1, 2, 5), -\langle 1, 2\rangle
    r"(?!\(|\\langle)([+-]?(?:\d+(?:\.\d+)?|\\frac\{[^{}]*\}\{[^{}]*\}|\\sqrt\{\d+\})?(?:\\sqrt\{\d+\})?)\s*(?:\\cdot|\\times|\*)?\s*"
    r"(\([^()]*,[^()]*\)|\\langle[^<>]*,[^<>]*\\rangle)"
)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:, \d{3})+")
_TWO_NUMBERS = re.compile(r"[+-]?\d, [1-9]\d\d")
_THOUSANDS = re.compile(r"[+-]?(?:\\\$)?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:\s*[a-zA-Z%\\^_][^,]*)?")
_AND = re.compile(r"\s+and\s+|\s*\\(?:land|wedge)(?![a-zA-Z])\s*", re.IGNORECASE)
_OR = re.compile(r"\s+or\s+|\s*\\(?:lor|vee)(?![a-zA-Z])\s*", re.IGNORECASE)
_ABSOLUTE = re.compile(r"\|\s*([a-zA-Z](?:_\{?\w+\}?)?)\s*\|")
_NAMED = re.compile(r"\s*((?:\\?[a-zA-Z]+)(?:_\{?\w+\}?)?)\s*=(?!.*=)")
_RELATION = re.compile(r"\\(?:le|ge|lt|gt)(?![a-zA-Z])|<|>")
_SIGNS = {r"\le": "<=", r"\lt": "<", "<": "<", r"\ge": ">=", r"\gt": ">", ">": ">"}
_TURNED = str.maketrans("<>", "><")
_VARIABLE = re.compile(r"(?:[a-zA-Z]|\\[a-zA-Z]+)(?:_\{?\w+\}?)?")
_WITHOUT = re.compile(
    r"(?:[a-zA-Z]\s*\\in\s*)?(?:\\mathbb\s*\{?\s*R\s*\}?|\(-\\infty\s*,\s*\\infty\s*\))\s*(?:\\setminus|\\backslash|\\|-)\s*\\\{(.*)\\\}"
)
_INTEGER = re.compile(r"[+-]?\d{1,15}")
_PLUS_MINUS = re.compile(r"\\(?:pm|mp)(?![a-zA-Z])\s*")


@dataclass(frozen=True)
class Structure:
    """An answer that has parts."""

    form: Form
    items: tuple[str, ...]
    left_open: bool = False
    right_open: bool = False
    columns: int = 0
    """Of a matrix."""
    joined: Literal["", "and", "or"] = ""
    """The word between the parts of a list, where there is one."""


def read_structure(text: str) -> Structure | None:
    r"""The structure of a cleaned answer, or None when it is one thing.

    >>> read_structure(r"\{1, 2\}").items
    ('1', '2')
    >>> read_structure("1,234") is None
    True
    """
    text = text.strip()
    if transposed := _TRANSPOSED.fullmatch(text):
        return _transpose(read_structure(transposed[1]))
    if r"\begin{matrix}" in text:
        return _matrix(text)
    if scaled := _SCALED.fullmatch(text):
        return _scaled(scaled[1].strip(), read_structure(scaled[2]))
    if angles := _ANGLES.fullmatch(text):
        text = f"({(angles[1] or angles[2]).strip()})"
        return Structure("tuple", split_top(text[1:-1], (",", ";")))
    if excluded := _excluded(text):
        return excluded
    if text in (r"\emptyset", r"\{\}", r"\{ \}"):
        return Structure("set", ())
    parts = split_top(text, (r"\cup",))
    if len(parts) > 1:
        return Structure("union", parts)
    if found := _inequality(text) or _bracketed(text) or _joined_inequalities(text):
        return found
    pieces = list_items(text)
    if len(pieces) > 1:
        with_and, with_or = bool(_AND.search(text)), bool(_OR.search(text))
        return Structure("list", pieces, joined="" if with_and == with_or else "and" if with_and else "or")
    if _PLUS_MINUS.search(text) and not re.search(r"[=<>]", text):
        plus = _PLUS_MINUS.sub(lambda sign: "+" if sign[0].startswith(r"\pm") else "-", text)
        minus = _PLUS_MINUS.sub(lambda sign: "-" if sign[0].startswith(r"\pm") else "+", text)
        return Structure("list", (plus.removeprefix("+"), minus.removeprefix("+")))
    return None


def _bracketed(text: str) -> Structure | None:
    if text.startswith(r"\{") and text.endswith(r"\}") and _inside_is_balanced(text[2:-2]):
        inner = text[2:-2]
        if re.search(r"\\mid(?![a-z])|\||:", inner):
            return None  # set-builder notation
        return Structure("set", list_items(inner))
    if text.startswith("{") and text.endswith("}") and _inside_is_balanced(text[1:-1]):
        items = list_items(text[1:-1])
        return Structure("set", items) if len(items) > 1 else None
    if len(text) < 3 or text[0] not in "([]" or text[-1] not in ")][":
        return None
    rows = [split_top(row, (",",)) for row in split_top(text[1:-1], (";",))] if text[0] + text[-1] == "[]" else []
    if len(rows) > 1 and len(rows[0]) > 1 and len({len(row) for row in rows}) == 1:
        return Structure("matrix", tuple(cell for row in rows for cell in row), columns=len(rows[0]))  # [1, 2; 3, 4]
    items = split_top(text[1:-1], (",", ";")) if _inside_is_balanced(text[1:-1]) else ()
    if len(items) < 2:
        return None
    left_open, right_open = text[0] in "(]", text[-1] in ")["
    if len(items) == 2 and (text[0] + text[-1] not in ("()",) or "\\infty" in text):
        return Structure("interval", items, left_open, right_open)
    if text[0] + text[-1] not in ("()", "[]"):
        return None
    return Structure("tuple", items)


def _matrix(text: str) -> Structure | None:
    """A matrix with its brackets, and with a factor in front, which goes into the cells; None for a determinant."""
    if divided := re.fullmatch(r"(.*\\end\{matrix\}\s*[)\]]?)\s*/\s*(\d+)", text, re.DOTALL):
        text = f"\\frac{{1}}{{{divided[2]}}}{divided[1]}"
    match = _MATRIX.fullmatch(text)
    if match is None or match[5] or r"\begin" in match[3] or (match[2] + match[4]) not in ("", "()", "[]"):
        return None
    factor = match[1].strip()
    rows = [row for row in re.split(r"\\\\", match[3]) if row.strip()]
    cells = [[cell.strip() for cell in row.split("&")] for row in rows]
    if not cells or len({len(row) for row in cells}) != 1:
        return None
    sign = factor.removeprefix("+")
    times = sign if sign in ("", "-") else f"{sign}\\cdot "
    items = (f"{times}({cell})" if sign else cell for row in cells for cell in row)
    return Structure("matrix", tuple(items), columns=len(cells[0]))


def _scaled(factor: str, structure: Structure | None) -> Structure | None:
    """A tuple times a number; None for an interval, which is no vector."""
    if structure is None or structure.form != "tuple":
        return None
    times = "-" if factor == "-" else f"{factor.removeprefix('+')}\\cdot "
    return Structure("tuple", tuple(f"{times}({item})" for item in structure.items))


def _transpose(structure: Structure | None) -> Structure | None:
    """A transposed tuple is a column."""
    if structure is None or structure.form not in ("matrix", "tuple", "interval"):
        return None
    if structure.form != "matrix":
        return Structure("matrix", structure.items, columns=1)
    columns = structure.columns
    items = tuple(item for column in range(columns) for item in structure.items[column::columns])
    return Structure("matrix", items, columns=len(items) // columns)


def as_matrix(structure: Structure) -> Structure | None:
    """The matrix whose rows a tuple of tuples lists: [[1, 2], [3, 4]]; None when it is none."""
    if structure.form not in ("tuple", "interval", "list"):
        return None
    rows = [read_structure(item) for item in structure.items]
    if not all(row is not None and row.form in ("tuple", "interval") for row in rows):
        return None
    items = [row.items for row in rows if row is not None]
    if len({len(row) for row in items}) != 1:
        return None
    return Structure("matrix", tuple(cell for row in items for cell in row), columns=len(items[0]))


def separate_numbers(structure: Structure, other: Structure) -> Structure:
    r"""\{3,150\} as the set of 3 and 150, for where it stands beside as many parts as it has groups."""
    groups = structure.items[0].split(",") if len(structure.items) == 1 else []
    if structure.form != "set" or len(groups) != len(other.items) or not all(map(_INTEGER.fullmatch, groups)):
        return structure
    return Structure("set", tuple(groups))


def says_or(text: str) -> bool:
    """Does "or" stand between the parts of an answer?"""
    return bool(_OR.search(text))


def joined_thousands(text: str, *, of_gold: bool) -> str | None:
    """32, 348 as one number, for where it stands beside one number; None when it is not written so.

    A gold answer 3, 150 is rather two numbers; a group that begins with 0 is none by itself.
    """
    if of_gold and _TWO_NUMBERS.fullmatch(text):
        return None
    return text.replace(", ", "") if _GROUPED.fullmatch(text) else None


def _excluded(text: str) -> Structure | None:
    r"""x \ne 2, \mathbb{R} \setminus \{2\}: the intervals that are left."""
    if found := _WITHOUT.fullmatch(text):
        values = split_top(found[1], (",",))
    else:
        parts = [re.split(r"\\ne(?![a-zA-Z])", part) for part in split_top(_AND.sub(" , ", text), (",",))]
        if len(parts[0]) == 2 and all(len(part) == 1 for part in parts[1:]):
            parts = [[parts[0][0], *part[-1:]] for part in parts]  # x \ne 2, 3
        names = {part[0].strip() for part in parts}
        if any(len(part) != 2 for part in parts) or len(names) != 1 or not all(map(_VARIABLE.fullmatch, names)):
            return None
        values = tuple(part[1].strip() for part in parts)
    if len(values) > 1:
        numbers = [_INTEGER.fullmatch(value) for value in values]
        if not all(numbers):
            return None
        values = tuple(map(str, sorted({int(value) for value in values})))
    if not all(values):
        return None
    ends = (r"-\infty", *values, r"\infty")
    return Structure("union", tuple(f"({low},{high})" for low, high in pairwise(ends)))


def _inequality(text: str) -> Structure | None:
    r"""x < 3, 1 \le x < 3: the interval that the variable runs through."""
    signs = [_SIGNS[sign.strip()] for sign in _RELATION.findall(text)]
    if not 1 <= len(signs) <= 2:
        return None
    sides = [side.strip() for side in _RELATION.split(text)]
    if any("," in side or "=" in side or _AND.search(side) or _OR.search(side) for side in sides):
        return None
    if len(signs) == 1:
        left, right = sides
        if any(name.fullmatch(right) and not name.fullmatch(left) for name in (_VARIABLE, _ABSOLUTE)):
            left, right, signs = right, left, [signs[0].translate(_TURNED)]
        strict = "=" not in signs[0]
        if _ABSOLUTE.fullmatch(left) and right:
            minus = f"-{right}" if re.fullmatch(r"\d+(?:\.\d+)?", right) else f"-({right})"
            if signs[0][0] == "<":
                return Structure("interval", (minus, right), strict, strict)
            return Structure("union", tuple(f"x{signs[0].translate(_TURNED)}{minus} x{signs[0]}{right}".split(" ", 1)))
        if not _VARIABLE.fullmatch(left) or not right:
            return None
        if signs[0][0] == "<":
            return Structure("interval", (r"-\infty", right), True, strict)
        return Structure("interval", (right, r"\infty"), strict, True)
    if not _VARIABLE.fullmatch(sides[1]) or signs[0][0] != signs[1][0]:
        return None
    low, high, first, second = sides[0], sides[2], signs[0], signs[1]
    if first[0] == ">":
        low, high, first, second = high, low, second, first
    return Structure("interval", (low, high), "=" not in first, "=" not in second)


def _joined_inequalities(text: str) -> Structure | None:
    r"""x < 2 or x > 3: a union; x > 1 and x < 3 (or with a comma): what both leave, an interval that may be empty."""
    for form, parts in (
        ("union", _OR.split(text)),
        ("interval", _AND.split(text)),
        ("interval", split_top(text, (",",))),
    ):
        if len(parts) < 2:
            continue
        ranges = [_inequality(part) for part in parts]
        names = {
            tuple(side for side in map(str.strip, _RELATION.split(part)) if _VARIABLE.fullmatch(side)) for part in parts
        }
        if any(found is None or found.form != "interval" for found in ranges) or len(names) != 1:
            return None
        if form == "union":
            return Structure("union", tuple(parts))
        found = [piece for piece in ranges if piece is not None]
        above = [piece for piece in found if piece.items[1] == r"\infty"]
        below = [piece for piece in found if piece.items[0] == r"-\infty"]
        if len(found) == 2 and len(above) == len(below) == 1:
            low, high = above[0], below[0]
            return Structure("interval", (low.items[0], high.items[1]), low.left_open, high.right_open)
        return None
    return None


def list_items(text: str) -> tuple[str, ...]:
    """The parts of a list: at commas (not those of thousands), semicolons, "and", "or"; one part when it is no list.

    Groups that name the same several variables (x = 1, y = 2 or x = 3, y = 4) are one part each.
    """
    text = _OR.sub(" ; ", _AND.sub(" ; ", text))
    groups = []
    for part in split_top(text, (";",)):
        pieces = (part,) if _THOUSANDS.fullmatch(part.strip()) else split_top(part, (",",))
        groups.append(tuple(piece for piece in pieces if piece))
    names = {tuple(sorted(name[1] for name in map(_NAMED.match, group) if name)) for group in groups}
    if len(groups) > 1 and len(names) == 1 and len(set(*names)) > 1 and len(*names) == len(groups[0]):
        return tuple(", ".join(group) for group in groups)
    return tuple(piece for group in groups for piece in group)


def split_top(text: str, separators: tuple[str, ...]) -> tuple[str, ...]:
    r"""Split at separators outside every bracket, in one pass; an open interval's odd brackets, `]1, 2[`, count too."""
    parts, depth, start, position = [], 0, 0, 0
    while position < len(text):
        found = next((mark for mark in separators if depth <= 0 and text.startswith(mark, position)), None)
        if found is not None:
            parts.append(text[start:position].strip())
            position += len(found)
            start = position
            continue
        if text[position] == "\\" and text[position + 1 : position + 2] not in ("{", "}"):
            position += 2
            continue
        if text[position] in "([{":
            depth += 1
        elif text[position] in ")]}":
            depth -= 1
        position += 1
    parts.append(text[start:].strip())
    return tuple(parts)


def _inside_is_balanced(inner: str) -> bool:
    """Does no bracket of `inner` close one that was opened before it?"""
    depth = 0
    for character in inner:
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if depth < 0:
            return False
    return depth == 0


def nesting(text: str) -> int:
    """How deep the brackets of `text` go."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}" and depth:
            depth -= 1
    return deepest
