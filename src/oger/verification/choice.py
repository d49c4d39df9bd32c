r"""Multiple choice: which letters an answer names, A to J.

`B`, `(b)`, `B.`, `\text{B}`, `\textbf{(B)}`, `\textcolor{red}{B}`, a full-width `Ｂ`, `B) 12`, `B: the text`, `B (12)`,
`B = 12`, `Answer: B`, `option B`, `B because ...` and `C is out, leaving B` name B. Several letters ("A or B", "A, B")
are several choices: right only when the gold answer has exactly these. A text that is exactly one of the options
(metadata {"options": [...]}), or worth the same as one of them alone (24.0 for 24), stands for its letter. The word "A"
in front of another word is no choice: only a letter that stands alone or is set off by a bracket, a full stop, a colon,
a dash or an equals sign counts.

Every pattern here is linear in the text, since choices are decided in the caller's process.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_CHARACTERS = 2000
_LETTERS = "ABCDEFGHIJ"
_DRESSING = re.compile(
    r"\\(?:textcolor|color|colorbox) ?\{[^{}]{1,40}\}|\\(?:text|math)[a-z]{0,6}(?![a-z])"
    r"|\\(?:left|right|boxed|fbox|framebox|underline|emph|mbox|bf|rm|boldsymbol|[lL]arge|LARGE|[hH]uge)(?![a-z])"
    r"|\\[,;! ()\[\]]|[{}$*_`\"'~]"
)
_LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:the )?(?:(?:final|correct|best|right) )?(?:answer|option|choice)s?"
    r"(?: is| are)?:? ?(?:(?:option|choice|answer)s?:? )?",
    re.IGNORECASE,
)
_ONE = r"[(\[]?([A-Ja-j])[)\]]?"
_SINGLE = re.compile(rf"{_ONE} ?[.:,]?")
_WITH_TEXT = re.compile(
    r"(?:[(\[]([A-Ja-j])[)\]][.:]?|([A-Ja-j])(?:[).:\]]|(?= ?[-–—] )|(?= ?= ?)|(?= \([^()]*\)[.]?$)|,?(?= \d)))"
    r" ?[-–—=]? ?(.+)"
)
_REASON = re.compile(
    r"[,;]? (?:because|since|as|, not|and not|not)\b.*|, (?:not|the|which) .*"
    r"| is (?:the )?(?:correct|right|best)(?: \w+)?[.]?$",
    re.IGNORECASE,
)
_TEXT_FIRST = re.compile(r"(.+) \(([A-J])\)[.]?")
_LEFT = re.compile(r".*\b(?:leaving|leaves)(?: us with)?(?: only)? ", re.IGNORECASE)
_MAX_METADATA = 20_000  # characters of JSON that are read in the caller's process
_SEVERAL = re.compile(rf"{_ONE}(?:(?: ?[,;&/] ?|,? (?:and|or) ){_ONE}){{1,9}}[.]?", re.IGNORECASE)
_JOINED = re.compile(r"[A-J]{2,10}")
_LETTER = re.compile(r"(?<![A-Za-z])[A-Ja-j](?![A-Za-z])")


def grade_choice(gold: str, extracted: str, metadata: Any = None) -> bool:
    """Does the answer name exactly the gold choice, or exactly the gold set of choices?

    Args:
        gold: A letter, several, or a letter with its text ("B) Paris").
        extracted: The answer.
        metadata: None, or a mapping (or JSON text of one) that may hold the texts of the choices under "options".

    Raises:
        ValueError: The gold answer names no choice.
    """
    options = _options(metadata)
    wanted = read_choices(gold, options)
    if not wanted:
        raise ValueError(f"the gold answer {gold[:80]!r} names no choice from A to J")
    found = read_choices(extracted, options)
    return (found or _of_equal_value(extracted, options)) == wanted


def instant_choice(gold: str, extracted: str, metadata: Any = None) -> bool | None:
    """The same, where it needs no worker; None for what is in error, too large, or to be compared by its value."""
    if isinstance(metadata, str) and len(metadata) > _MAX_METADATA:
        return None
    try:
        options = _options(metadata)
    except (ValueError, RecursionError):  # the worker raises it again, at the boundary that makes it "undecided"
        return None
    if any(len(text) > _MAX_CHARACTERS for text in (gold, *options[: len(_LETTERS)])):
        return None
    wanted, found = read_choices(gold, options), read_choices(extracted, options)
    by_value = bool(options) and not found and not _WITH_TEXT.fullmatch(_flat(extracted))
    return None if not wanted or by_value else found == wanted


def _of_equal_value(text: str, options: Sequence[str]) -> frozenset[str]:
    """The letter of the only option that is mathematically equal to a text."""
    from oger.verification.math.grader import grade_math

    if _WITH_TEXT.fullmatch(_flat(text)):
        return frozenset()  # it names a letter, and not that of its text
    found = set()
    for letter, option in zip(_LETTERS, options, strict=False):
        try:
            found |= {letter} if grade_math(option, text).correct else set()
        except ValueError:  # an option that is no mathematics
            continue
    return frozenset(found) if len(found) == 1 else frozenset()


def read_choices(text: str, options: Sequence[str] = ()) -> frozenset[str]:
    """The letters that `text` names; empty when it names none.

    >>> sorted(read_choices("B) 12"))
    ['B']
    >>> sorted(read_choices("A dog"))
    []
    """
    if len(text) > _MAX_CHARACTERS:
        return frozenset()
    by_text = {_words(option): letter for letter, option in reversed(list(zip(_LETTERS, options, strict=False)))}
    flat = _flat(text)
    found = _named(flat, by_text)
    if lead := _LEAD.match(flat):
        found = found or _named(flat[lead.end() :], by_text)
    if left := _LEFT.match(flat):
        found = found or _named(flat[left.end() :], by_text)
    return found or _named(_REASON.sub("", flat), by_text)


def _named(flat: str, by_text: Mapping[str, str]) -> frozenset[str]:
    """The letters that one line names as it stands."""
    if len(flat) > 1 and _words(flat) in by_text:
        return frozenset(by_text[_words(flat)])
    if _SINGLE.fullmatch(flat):
        return frozenset(_LETTER.findall(flat)[0].upper())
    if _SEVERAL.fullmatch(flat):
        return frozenset(letter.upper() for letter in _LETTER.findall(flat))
    if _JOINED.fullmatch(flat) and sorted(set(flat)) == list(flat):
        return frozenset(flat)
    if with_text := _WITH_TEXT.fullmatch(flat):
        letter, label = (with_text[1] or with_text[2]).upper(), _words(with_text[3].strip("()"))
        if _SINGLE.fullmatch(with_text[3]) and with_text[3][0] in "([" and label.upper() != letter:
            return frozenset()  # (C)(D)
        # "A) Rome" where Rome is B says two things at once: it names no choice.
        return frozenset(letter) if by_text.get(label, letter) == letter else frozenset()
    if (text_first := _TEXT_FIRST.fullmatch(flat)) and by_text.get(_words(text_first[1])) == text_first[2]:
        return frozenset(text_first[2])
    return frozenset()


def _flat(text: str) -> str:
    """One line without LaTeX and Markdown dressing."""
    text = unicodedata.normalize("NFKC", text).replace("。", ".")
    return " ".join(_DRESSING.sub(" ", text).split()).replace("( ", "(").replace(" )", ")")


def _words(text: str) -> str:
    return " ".join(_DRESSING.sub(" ", text).split()).rstrip(".").casefold()


def _options(metadata: Any) -> Sequence[str]:
    entry = json.loads(metadata) if isinstance(metadata, str) else metadata
    options = entry.get("options", ()) if isinstance(entry, Mapping) else ()
    if options is None:
        return ()
    if isinstance(options, str) or not isinstance(options, Sequence) or not all(isinstance(o, str) for o in options):
        raise ValueError('the "options" of a choice must be a list of texts')
    return options
