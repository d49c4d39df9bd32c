r"""Names before values: x = 3, (x, y) = (1, 2), x \in \{1, 2\}, and what they name."""

import re

from oger.verification.math.phrases import words
from oger.verification.math.structure import list_items, read_structure, split_top

_NAME = re.compile(r"(?:\\?[a-zA-Z]+|\\angle\s*[a-zA-Z]+|[a-zA-Z]+\s*'*)(?:_\{?\w+\}?)?(?:\s*\([a-zA-Z, ]*\))?")
_MEMBER = re.compile(
    r"^(?:[a-zA-Z](?:_\{?\w+\}?)?|\([a-zA-Z], ?[a-zA-Z](?:, ?[a-zA-Z])*\))\s*\\in(?![a-z])\s*(?!\\mathbb)"
)
_NAMED_TUPLE = re.compile(r"^\(([a-zA-Z](?:_\{?\w+\}?)?(?:, ?[a-zA-Z](?:_\{?\w+\}?)?)+)\)\s*=\s*")
_SET_BUILDER = re.compile(r"^\\\{\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|\||:)(.*)\\\}$")
_MODULUS = re.compile(r"\s*\(?\s*(?:\\[pb]?mod|\\pod|(?<![a-zA-Z\\])mod)(?![a-zA-Z])\s*\{?\s*(\w+)\s*\}?\s*\)?$")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_LETTER = re.compile(r"[a-zA-Z](?:_\{?\w+\}?)?")
_COORDINATES = ("x", "y", "z")


def assignment(text: str) -> tuple[str, str]:
    """(name, value) of `x = 3`, of `x = 3, 4` and of `x = 6/2 = 3`; names are empty where there is none."""
    if re.search(r"[<>]|\\(?:le|ge|ne|lt|gt)(?![a-zA-Z])", text):
        return "", text
    sides = split_top(text, ("=",))
    if len(sides) < 2 or not all(sides) or (len(sides) > 2 and len(list_items(text)) > 1):
        return "", text
    if len(sides) == 2 and not re.search("[a-zA-Z]", _COMMAND.sub("", sides[0])) and _LETTER.fullmatch(sides[1]):
        return sides[1], sides[0]  # 3 = x
    if not _NAME.fullmatch(sides[0]):
        return "", text
    return sides[0], sides[-1]


def same_name(left: str, right: str) -> bool:
    """Do two names name the same? Their case does not matter, their primes do."""
    return words(left) == words(right) and left.count("'") == right.count("'")


def bindings(text: str) -> dict[str, str] | None:
    """The values of several names by name: of `(x, y) = (1, 2)` and of `x = 1, y = 2`; None when it is neither.

    >>> bindings("(x, y) = (1, 2)") == bindings("y = 2, x = 1")
    True
    """
    if tuple_ := _NAMED_TUPLE.match(text):
        names = tuple(name.strip() for name in tuple_[1].split(","))
        shape = read_structure(text[tuple_.end() :])
        if shape is None or shape.form not in ("tuple", "interval"):
            return None
        pairs = list(zip(names, shape.items, strict=False)) if len(names) == len(shape.items) else []
    else:
        pairs = [assignment(item) for item in list_items(text)]
    found = {re.sub(r"[\s{}]", "", name): value for name, value in pairs}
    return found if len(pairs) > 1 and len(found) == len(pairs) and "" not in found else None


def as_tuple(named: dict[str, str]) -> str | None:
    """The point that the coordinates x, y (and z) give, whatever their order; None for other names."""
    names = _COORDINATES[: len(named)]
    return f"({', '.join(named[name] for name in names)})" if set(named) == set(names) else None


def without_membership(text: str) -> str:
    """The set or the tuple that a name is said to be."""
    text = _NAMED_TUPLE.sub("", _MEMBER.sub("", text))
    builder = _SET_BUILDER.match(text)
    return builder[1].strip() if builder else text


def split_modulus(text: str) -> tuple[str, str]:
    r"""(residue, modulus) of `x \\equiv 7 \\pmod{10}`; no modulus: (text, "")."""
    found = _MODULUS.search(text)
    if found is None or not found.start():
        return text, ""
    return re.sub(r"\\equiv(?![a-zA-Z])|≡", "=", text[: found.start()]).strip(), found[1]
