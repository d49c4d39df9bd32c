r"""Where the answer stands in a response: small named rules that compose.

A rule maps a text to a shorter text, or to None when what it looks for is not there. Rules are applied from left to
right: `("after_think", "last_boxed")` means the last \boxed{...} of what follows the last `</think>`.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from oger.method.options import choose

Rule = Callable[[str], str | None]

_BOXED = re.compile(r"\\boxed\s*\{")
_HASH_ANSWER = re.compile(r"^####[ \t]*(.+?)[ \t]*$", re.MULTILINE)


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete \boxed{...}, braces inside it balanced.

    >>> last_boxed(r"\boxed{1} and \boxed{\frac{1}{2}}")
    '\\frac{1}{2}'
    """
    found = None
    for match in _BOXED.finditer(text):
        end = _closing_brace(text, match.end())
        if end is not None:
            found = text[match.end() : end]
    return found


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    position = start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 2  # an escaped brace, \{ or \}, does not nest
            continue
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return position
        position += 1
    return None


def after_think(text: str) -> str | None:
    """What follows the last </think>; None when the reasoning was never closed."""
    _, tag, rest = text.rpartition("</think>")
    return rest if tag else None


def hash_answer(text: str) -> str | None:
    """The rest of the last line that starts with #### (the GSM8K convention).

    >>> hash_answer("2+2=4\\n#### 4")
    '4'
    """
    answers = _HASH_ANSWER.findall(text)
    return answers[-1] if answers else None


ANSWER_RULES: Mapping[str, Rule] = {"last_boxed": last_boxed, "after_think": after_think, "hash_answer": hash_answer}

DEFAULT_RULES = ("last_boxed",)


def extract_answer(text: str, rules: Sequence[str] = DEFAULT_RULES) -> str | None:
    """Apply the named rules in order; None as soon as one of them finds nothing."""
    found: str | None = text
    for rule in [choose(ANSWER_RULES, name, "answer rule") for name in rules]:
        if found is None:
            return None
        found = rule(found)
    return found
