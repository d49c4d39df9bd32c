r"""Names before values: x = 3, (x, y) = (1, 2), x \in \{1, 2\}, and what they name."""

import re
from itertools import pairwise

from oger.verification.math.nouns import DENYING
from oger.verification.math.phrases import words
from oger.verification.math.structure import list_items, read_structure, split_top

_NAME = re.compile(r"(?:\\?[a-zA-Z]+|\\angle\s*[a-zA-Z]+|[a-zA-Z]+\s*'*)(?:_\{?\w+\}?)?(?:\s*\([a-zA-Z, ]*\))?")
_SUBSCRIPT = r"(?:\s*_\s*(?:\{[^{}]*\}|\w))?"
_LETTERLIKE = (
    r"(?:[a-zA-Z]|\\(?:vec|hat|bar|overline|overrightarrow|tilde|dot|ddot|widehat|widetilde|mathcal|mathbb|mathfrak)"
    r"\s*(?:\{[^{}]*\}|[a-zA-Z])|\\(?:alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu"
    r"|xi|rho|sigma|tau|upsilon|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega|ell))"
)
_VARIABLE = re.compile(
    rf"(?:\\Delta|\\angle)?\s*{_LETTERLIKE}{_SUBSCRIPT}\s*(?:'|\^\s*\{{?\s*(?:\\prime|\*)\s*\}}?)*{_SUBSCRIPT}"
)
_FUNCTION_VALUE = re.compile(
    rf"(?:[A-Zfghpq]|\\(?:phi|varphi|psi|Pr|Gamma|zeta|sigma|mathbb\s*\{{?\w\}}?)|Var|Cov|Pr|gcd|lcm|max|min|det|deg|rank){_SUBSCRIPT}"
    r"(?:'|\^\s*\{[^{}]*\})*\s*(?:\(.*\)|\[.*\])"
)
_POINTS = re.compile(
    r"(?:m?\s*\\(?:angle|triangle|measuredangle)\s*)?[A-Z]{1,5}'?|\[[A-Z]{3,6}\]|\|[A-Z]{1,2}\||\\\|.*\\\|"
)
_BIG_OPERATOR = re.compile(
    r"\\(?:int|iint|oint|sum|prod|lim|max|min|sup|inf|det|gcd|lcm|Pr|deg|dim|arg|binom)(?![a-zA-Z])"
)
_DERIVATIVE = re.compile(
    r"\\frac\s*\{\s*(?:d|\\partial)[^{}]*(?:\{\w+\}[^{}]*)?\}\s*\{\s*(?:d|\\partial)[^{}]*(?:\{\w+\}[^{}]*)?\}|d\w/d\w"
)
_FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt", "root", "abs"}
    | {"square", "cube", "third", "quarter"}
    | {"arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "floor", "ceil"}
)
_SHORT_WORDS = frozenset({"of", "is", "to", "in", "a", "no", "at", "by"})
_MEMBER = re.compile(
    r"^(?:[a-zA-Z](?:_\{?\w+\}?)?|\([a-zA-Z], ?[a-zA-Z](?:, ?[a-zA-Z])*\))\s*\\in(?![a-z])\s*(?!\\mathbb)"
)
_NAMED_TUPLE = re.compile(r"^\(([a-zA-Z](?:_\{?\w+\}?)?(?:, ?[a-zA-Z](?:_\{?\w+\}?)?)+)\)\s*=\s*")
_SET_BUILDER = re.compile(r"^\\\{\s*[a-zA-Z]\s*(?:\\in\s*\\mathbb\s*\{?R\}?\s*)?(?:\\mid|\||:)(.*)\\\}$")
_MODULUS = re.compile(
    r"\s*\(?\s*(?:\\[pb]?mod|\\pod|(?<![a-zA-Z\\])mod)(?![a-zA-Z])\s*\{?\s*(\d+|[a-zA-Z])\s*\}?\s*\)?$"
)
_ARGUMENT = re.compile(r"(?<=^[a-zA-Z])\s*\([a-zA-Z]\)$")
_OF_X = re.compile(r"[fgh]\(x\)")
_COMMAND = re.compile(r"\\[a-zA-Z]+")
_LETTER = re.compile(r"[a-zA-Z](?:_\{?\w+\}?)?")
_PRODUCT_OF_MATRICES = re.compile(r"(?:[A-Z](?:\s*\^\s*(?:\{[^{}]*\}|\w|\\top))?\s*){1,4}")
_MATRIX_BEGINS = (r"\begin{matrix}", r"( \begin{matrix}", r"[ \begin{matrix}", "[[")
_COORDINATES = ("x", "y", "z")


def assignment(text: str, *, of_gold: bool = False) -> tuple[str, str]:
    """(name, value) of `x = 3`, of `x = 3, 4` and of `x = 6/2 = 3`; names are empty where there is none.

    A gold answer may call anything a name that looks like one (xy = 12); an answer's is one thing (`is_one_name`).
    """
    if re.search(r"[<>]|\\(?:le|ge|ne|lt|gt)(?![a-zA-Z])", text):
        return "", text
    sides = split_top(text, ("=",))
    if len(sides) < 2 or not all(sides) or (len(sides) > 2 and len(list_items(text)) > 1):
        return "", text
    if len(sides) == 2 and not re.search("[a-zA-Z]", _COMMAND.sub("", sides[0])) and _LETTER.fullmatch(sides[1]):
        return sides[1], sides[0]  # 3 = x
    if _LETTER.fullmatch(sides[0]) and any(_holds(side, sides[0]) for side in sides[1:-1]):
        return "", text  # x = 2x = 4 does not say that x is 4
    if _PRODUCT_OF_MATRICES.fullmatch(sides[0]) and sides[-1].startswith(_MATRIX_BEGINS):
        return "M", sides[-1]
    if not is_one_name(sides[0]) and not (of_gold and _NAME.fullmatch(sides[0])):
        return "", text
    return sides[0], sides[-1]


def _holds(text: str, letter: str) -> bool:
    """Does an expression hold a letter as a variable, and not as the name of a function or of an entry?"""
    return bool(re.search(rf"(?<![a-zA-Z\\]){re.escape(letter)}(?![a-zA-Z_(])", text))


def is_one_name(text: str) -> bool:
    """Does a text name one thing, so that "text = 3" gives its value? A variable, a function's value, points, a word.

    >>> [is_one_name(name) for name in ("x_1", "f(2)", "AB", "area", r"\\vec{v}", "2x", "xy", r"\\sin x", "x^2")]
    [True, True, True, True, True, False, False, False, False]
    """
    text = text.strip()
    if _FUNCTION_VALUE.fullmatch(text) and text.count("(") == text.count(")") and text.count("[") == text.count("]"):
        return True
    if _BIG_OPERATOR.match(text) or _DERIVATIVE.fullmatch(text) or _VARIABLE.fullmatch(text) or _POINTS.fullmatch(text):
        return True
    words_of_it = text.split()
    if all(word in _SHORT_WORDS for word in words_of_it):
        return False  # by = 32 is b times y
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z' ]+", text)) and all(map(_is_word, words_of_it))


def _is_word(text: str) -> bool:
    """A word, and not a product of variables: xyz, abc."""
    letters = text.casefold()
    if letters in _FUNCTIONS or (letters in DENYING and letters not in _SHORT_WORDS):
        return False
    consecutive = all(ord(right) - ord(left) == 1 for left, right in pairwise(letters))
    return (
        text.isupper()
        or (len(text) > 2 and not consecutive and bool(re.search("[aeiou]|y$", letters)))
        or (letters in _SHORT_WORDS)
    )


def same_name(left: str, right: str) -> bool:
    """Do two names name the same? Their case does not matter, their primes do; f is f(x), and so is y."""
    if "y" in (left, right) and any(_OF_X.fullmatch(side) for side in (left, right)):
        return True  # y = 2x for f(x) = 2x
    bare = [_ARGUMENT.sub("", side.strip()) for side in (left, right)]
    if (bare[0] == right.strip()) != (bare[1] == left.strip()):
        return True
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
    elif (sides := split_top(text, ("=",))) and len(sides) > 2 and all(map(_LETTER.fullmatch, sides[:-1])):
        pairs = [(name, sides[-1]) for name in sides[:-1]]  # x = y = z = 0
        if _LETTER.fullmatch(sides[-1]):
            return None
    else:
        pairs = [assignment(item) for item in list_items(text)]
    found = {re.sub(r"[\s{}]", "", name): value for name, value in pairs}
    return found if len(pairs) > 1 and len(found) == len(pairs) and "" not in found else None


def as_tuple(named: dict[str, str]) -> str | None:
    """The point that the coordinates x, y (and z) give, whatever their order; any names if all are worth the same."""
    if len(named) > 1 and len(set(named.values())) == 1:
        return f"({', '.join(named.values())})"
    names = _COORDINATES[: len(named)]
    return f"({', '.join(named[name] for name in names)})" if set(named) == set(names) else None


def without_membership(text: str) -> str:
    """The set or the tuple that a name is said to be."""
    text = _NAMED_TUPLE.sub("", _MEMBER.sub("", text))
    builder = _SET_BUILDER.match(text)
    return builder[1].strip() if builder else text


def is_reduced(residue: str, modulus: str) -> bool:
    """Is a residue its own remainder? 7 mod 10 is, 5 mod 3 is not; what is no number is not asked."""
    value = residue.rpartition("=")[2].strip()
    return not (re.fullmatch(r"\d{1,9}", value) and re.fullmatch(r"\d{1,9}", modulus)) or int(value) < int(modulus)


def split_modulus(text: str) -> tuple[str, str]:
    r"""(residue, modulus) of `x \\equiv 7 \\pmod{10}`; no modulus: (text, "")."""
    found = _MODULUS.search(text)
    if found is None or not found.start():
        return text, ""
    return re.sub(r"\\equiv(?![a-zA-Z])|≡", "=", text[: found.start()]).strip(), found[1]
