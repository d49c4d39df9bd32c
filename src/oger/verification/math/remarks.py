r"""What is said beside an answer: for which letters it holds (quantifiers), and remarks in brackets behind it."""

import re
from dataclasses import dataclass

_SETS = {"R": "real", "Z": "integer", "N": "natural", "Q": "rational", "C": "complex"}
_ONE_LETTER = r"(?<![a-zA-Z\\])[a-zA-Z](?:_\{?\w+\}?)?(?![a-zA-Z])"
_LETTERS = rf"\(?\s*{_ONE_LETTER}(?:\s*(?:,|and)\s*{_ONE_LETTER})*\s*\)?"
_INTRO = r"(?:for\s+(?:all|any|every|each|some)|\\forall|\\exists|where|with|for|when|if|given)"
_MEMBERS = re.compile(
    # Behind a separator, so that the k of `2k, k \in \mathbb{{Z}}` stays with its factor.
    rf"(?:\s*[,;:(]\s*|\s+(?={_ONE_LETTER}\s*\\in)|\s*(?<![a-zA-Z])(?={_INTRO}))\(?\s*"
    rf"{_INTRO}?(?:\s+(?:real|integers?|numbers?|all))*\s*({_LETTERS})\s*\\in\s*"
    rf"\\mathbb\s*\{{?\s*([A-Z])\s*\}}?\s*(?:\^\s*\{{?[+*]?\}}?|_\s*\{{?[^{{}}]*\}}?)?\s*\)?$"
)
_WORDS = re.compile(  # possessive: a long word can be split in many ways, and none of them helps
    rf"\s*[,;:]?\s*\(?\s*(?<![a-zA-Z])({_INTRO})\s+"
    r"((?:[a-zA-Z]++(?:_\{?\w+\}?)?+\s*+(?:,\s*+|\\in\s*\\mathbb\s*\{?[A-Z]\}?\s*+)?+)++)\)?$"
)
_RELATION = re.compile(r"[<>]|\\(?:le|ge|lt|gt)(?![a-zA-Z])")
_ALL_OF = re.compile(
    r"(?:all|any|every)\s+((?:(?:real|natural|rational|positive|nonnegative|integers?|numbers?|reals?)\s+)+)"
    rf"(?:of\s+)?([a-zA-Z])(?=\s*(?:{_RELATION.pattern}))",
    re.I,
)
_KINDS = (
    ("natural", re.compile(r"natural|(?:positive|nonnegative|non negative) integer", re.I)),
    ("integer", re.compile(r"\binteger", re.I)),
    ("rational", re.compile(r"\brational", re.I)),
    ("complex", re.compile(r"\bcomplex", re.I)),
    ("real", re.compile(r"\breal", re.I)),
)
_QUANTIFYING = re.compile(
    r"(?:all|any|every|each|an?|is|are|be|and|the|in|of|real|reals|integers?|numbers?|constants?|arbitrary|natural|"
    r"positive|nonnegative|non|negative|rational|complex|values?|some|fixed|[a-zA-Z](?:_\{?\w+\}?)?)"
)
_REMARK = re.compile(
    r"(?P<body>.*\S)\s+[(\[]\s*(?:(?P<another>rejecting|discarding|the other)|checked|valid"
    r"|only|unique|exact(?:ly)?|since|because|as|approximately|approx|about|roughly|i\.?e\.?|"
    r"that is|by|using|from|where|given|rounded|simplified|the only|answer|final answer|note|recall|see|check|verified|"
    r"for (?:all|any|every|each)|\\approx)(?![a-zA-Z])(?P<rest>.*)[)\]]",
    re.I | re.DOTALL,
)
_TAKEN_BACK = re.compile(r"\b(?:not|wrong|incorrect|false|impossible|extraneous|invalid|reject\w*|fails?)\b", re.I)
_MAPS_TO = re.compile(
    r"(?:([a-zA-Z]|\\[a-z]+)\s*(?::|\\colon)\s*)?([a-zA-Z])\s*(?:\\mapsto|\\longmapsto|↦)(?![a-zA-Z])\s*(.*)", re.DOTALL
)
_DECLARED = re.compile(
    r"[a-zA-Z]\s*(?::|\\colon)\s*\\mathbb\s*\{?[A-Z]\}?\s*\\(?:right)?(?:to|arrow)\s*\\mathbb\s*\{?[A-Z]\}?\s*[,;:]?\s*"
)
_MEMBER = re.compile(r"\\in\s*\\mathbb\s*\{?([A-Z])\}?")
_FUNCTION = re.compile(r"([a-zA-Z])\(([a-zA-Z])\)\s*=(.*)", re.DOTALL)
_DEFINED_AS = re.compile(r"\\equiv(?![a-zA-Z])|≡|\\coloneqq(?![a-zA-Z])|:\s*=|\\triangleq(?![a-zA-Z])")
_MODULUS = re.compile(r"mod(?![a-z])")
_ANY_NAME = re.compile(r"^[^=]*=(?!.*=)")


@dataclass(frozen=True)
class Family:
    """An answer, and over what its letters run where it says so."""

    body: str
    letters: tuple[str, ...] = ()
    over: str = ""
    """ "real", "integer", "natural", "rational" or "complex"; empty when the answer does not say."""


def as_equation(text: str) -> str:
    r"""A function in one spelling: `f: x \mapsto 2x` is f(x)=2x, `f(x) \equiv 0` is f(x)=0."""
    text = _DECLARED.sub("", text)
    if maps := _MAPS_TO.fullmatch(text):
        return f"{maps[1]}({maps[2]})={maps[3]}" if maps[1] else maps[3]
    return text if _MODULUS.search(text) else _DEFINED_AS.sub("=", text)


def same_argument(gold: str, answer: str) -> str:
    """The answer f(t) = 2t with its argument called as in the gold answer f(x) = 2x."""
    left, right = _FUNCTION.fullmatch(gold), _FUNCTION.fullmatch(answer)
    if left is None or right is None or left[1] != right[1] or left[2] == right[2] or _holds(right[3], left[2]):
        return answer
    return f"{left[1]}({left[2]})={_renamed(right[3], right[2], left[2])}"


def _holds(text: str, letter: str) -> bool:
    return bool(
        re.search(rf"(?<![a-zA-Z\\]){re.escape(letter)}|[a-z]{re.escape(letter)}", re.sub(r"\\[a-zA-Z]+", " ", text))
    )


def _renamed(text: str, old: str, new: str) -> str:
    return re.sub(r"(\\[a-zA-Z]+)|" + re.escape(old), lambda match: match[1] or new, text)


def without_remark(text: str) -> str:
    """`3 (only)` is 3; a remark that takes the answer back stays."""
    found = _REMARK.fullmatch(text)
    if found is None or (_TAKEN_BACK.search(found["rest"]) and not found["another"]):
        return text
    depth = 0  # the bracket that closes at the end must be the one that the remark opens
    inner = text[found.end("body") :].strip()
    for position, character in enumerate(inner):
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if depth == 0 and position < len(inner) - 1:
            return text
    return found["body"]


def family(text: str) -> Family:
    r"""An answer without its quantifiers.

    >>> family(r"f(x)=2x for all x")
    Family(body='f(x)=2x', letters=('x',), over='')
    >>> family(r"x=k\pi, k \in \mathbb{Z}").over
    'integer'
    """
    if found := _ALL_OF.match(text):
        over = next((name for name, kind in _KINDS if kind.search(found[1])), "")
        return Family(text[found.start(2) :], (found[2],), over)
    if found := _MEMBERS.search(text):
        body, letters, over = text[: found.start()], found[1], _SETS.get(found[2], "")
    elif (found := _WORDS.search(text)) and _only_quantifies(found[1], found[2]):
        body, letters = text[: found.start()], _MEMBER.sub("", found[2])
        member = _MEMBER.search(found[2])
        over = _SETS.get(member[1], "") if member else next((n for n, p in _KINDS if p.search(letters)), "")
    else:
        return Family(text)
    body = body.strip().rstrip(",;:").strip()
    if not body:
        return Family(text)
    named = tuple(re.findall(r"(?<![a-zA-Z])(?!a\b(?=\s+[a-z]{2}))[a-zA-Z](?:_\{?\w+\}?)?(?![a-zA-Z])", letters))
    inner = family(body)
    return Family(inner.body, inner.letters + named, inner.over or over)


def _only_quantifies(intro: str, text: str) -> bool:
    """Does a text say nothing but for which letters? "if positive" names none, and is a condition."""
    words = re.findall(r"[a-zA-Z]+(?:_\{?\w+\}?)?", _MEMBER.sub("", text))
    names_letter = any(len(word.partition("_")[0]) == 1 for word in words)
    return all(map(_QUANTIFYING.fullmatch, words)) and (names_letter or intro.startswith(("for", "\\forall")))


def _constants(body: str) -> set[str]:
    """The letters of a function f(x) = ... beside its argument; none of what is no function."""
    function = _FUNCTION.fullmatch(body)
    if function is None:
        return set()
    body_without_commands = re.sub(r"\\[a-zA-Z]+", " ", function[3])
    return set(re.findall("[a-zA-Z]", body_without_commands)) - {function[2]}


def same_parameters(gold: Family, answer: Family) -> str | None:
    """The answer's body with its parameter called as the gold's is; None when they run over different sets."""
    if gold.over and answer.over and gold.over != answer.over:
        return None
    if any(_ranges_over_integers(*sides) for sides in ((gold, answer), (answer, gold))):
        return None
    constants = [_constants(side.body) for side in (gold, answer)]
    if len(constants[0]) == len(constants[1]) == 1:
        (wanted,), (said,) = constants
        if not gold.over and said in answer.letters and answer.over in ("integer", "natural", "rational"):
            return None  # f(x) = cx, c any number, and f(x) = cx, c an integer
        if wanted != said and (said in answer.letters or wanted in gold.letters):
            return _renamed(answer.body, said, wanted)
    counted = [_counting_letter(side, other) for side, other in ((gold, answer), (answer, gold))]
    new, old = counted
    if "integer" not in (gold.over, answer.over) or not new or not old or old == new or _holds(answer.body, new):
        return answer.body
    return _renamed(answer.body, old, new)


def _ranges_over_integers(side: Family, other: Family) -> bool:
    """Is one side a range of integers, n >= 3, and the other one a range of another letter, or of none?"""
    if side.over not in ("integer", "natural") or other.over or not _RELATION.search(side.body):
        return False
    return not any(_holds(other.body, letter) for letter in side.letters)


def _counting_letter(side: Family, other: Family) -> str:
    r"""The letter that runs over the integers; where only the other side says so, the one letter that may: 2\pi k."""
    if side.over == "integer":
        return side.letters[0] if len(side.letters) == 1 else ""
    value = _ANY_NAME.sub("", side.body)
    found = set(re.findall("[a-zA-Z]", re.sub(r"\\[a-zA-Z]+", " ", value)))
    return found.pop() if not side.letters and len(found) == 1 and found <= set("jklmn") and other.over else ""
