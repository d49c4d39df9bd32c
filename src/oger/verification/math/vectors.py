r"""Vectors that are written neither as a tuple nor as a matrix: 2\mathbf{i} - 3\mathbf{j}, \binom{2}{-3}."""

import re

from oger.verification.math.structure import Structure

_TERM = re.compile(
    r"([+-]?)\s*([^+-]*?)\s*(?:\\(?:hat|vec|bar)\s*)?(?:\{\s*)?\\?([ijk])(?:math)?(?:\s*\})?\s*(?=[+-]|$)"
)
_COLUMN_OF_TWO = re.compile(r"\\binom\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_UNIT_VECTORS = "ijk"
_SIGNS_INSIDE = re.compile(r"(?<=[({^])\s*[+-]")


def as_vector(text: str, beside: Structure) -> Structure | None:
    r"""The vector that `text` is beside a tuple, or a row or column of 2 or 3 components; None when it is none.

    >>> as_vector(r"2\hat{i}-3\hat{j}", Structure("tuple", ("2", "-3"))).items
    ('2', '-3')
    """
    size = len(beside.items)
    if beside.form not in ("tuple", "matrix"):
        return None
    if beside.form == "matrix" and 1 not in (beside.columns, size // beside.columns):
        return None
    if size == 2 and (column := _COLUMN_OF_TWO.fullmatch(text)):
        return Structure("tuple", (column[1], column[2]))
    if size not in (2, 3) or _SIGNS_INSIDE.search(text):
        return None
    parts: dict[str, str] = {}
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None or term[3] in parts or (position and not term[1]):
            return None
        parts[term[3]] = f"{term[1]}{term[2] or '1'}"
        position = term.end()
    names = _UNIT_VECTORS[:size]
    marked = re.search(r"\\(?:hat|vec)", text)
    if not set(parts) <= set(names) or (len(parts) < 2 and not marked):
        return None  # a lone i is rather the imaginary unit
    return Structure("tuple", tuple(parts.get(name, "0") for name in names))
