r"""What of a text is encoded: full | reasoning | final | equations.

Names and boilerplate make texts on the same problem look alike; a part leaves the rest out. A part with nothing in it
(no equation, nothing after the reasoning) gives the zero row, whose divergence from every teacher is 1.

Where the reasoning ends: at the last `</think>`; without one, before the last \boxed; without either, it is the whole
text and there is no final part.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import torch

from oger.encoders.base import Encoder, EncoderIdentity, checked_texts, count_tokens
from oger.words import choose

_RULES = 1  # counts up whenever a part of some text changes, so that identities change with it

_OPENING, _CLOSING = "<think>", "</think>"

_COMMANDS = frozenset(
    re.findall(
        r"\S+",
        """
        frac dfrac tfrac sqrt binom times cdot div pm mp ast star circ oplus otimes
        le leq leqslant ge geq geqslant lt gt ne neq approx equiv cong sim propto
        sum prod int iint oint lim infty partial nabla log ln lg exp sin cos tan cot sec csc arcsin arccos arctan
        sinh cosh tanh min max gcd lcm bmod pmod mod det deg dim
        in notin subset subseteq supset cup cap setminus emptyset forall exists land lor lnot neg
        to rightarrow Rightarrow implies iff mid nmid lfloor rfloor lceil rceil angle perp parallel pi
        """,
    )
)
"""LaTeX commands that are operators, relations, functions or constants; layout and text commands are dropped."""

# In order: what is taken first is not looked at again.
_TOKENS = re.compile(
    r"""
      \\(?P<command>[A-Za-z]+)
    | (?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?)
    | \\.                                              # delimiters such as \( and line ends \\ are layout
    | (?<![^\n])[ \t]*[-*+•][ \t]                      # so is the bullet of a list
    | [^\W\d_]+(?:['’-][^\W\d_]+)*                     # words with the hyphens inside them; names of variables too
    | (?P<operator>
        (?<=[\w)])\*\*(?=[\d(])|(?<=[\d)]\ )\*\*(?=\ [\d(])  # a power
      | [<>!=]=|[+=<>^%≤≥≠≈≡±∓×÷·⋅∑∏∫√∞∈→⇒⇔π]
      | (?<![-*])[-−*/](?=\s?[\d(\\])|(?<=[\d)}])\s?[-−*/](?![\w*-])  # elsewhere they are dashes and strokes
      | (?<=[\d)])!|(?<=\d):(?=\d)|_(?=[\d{])          # factorial, ratio, base
      | \((?=\s?[-−\d(\\])|(?<=[\d)}!])\)               # brackets round numbers, not round remarks
      )
    """,
    re.VERBOSE | re.DOTALL,
)


def full(text: str) -> str:
    """The text as it is."""
    return text


def reasoning(text: str) -> str:
    r"""What comes before the last `</think>`, else before the last \boxed, else everything.

    >>> reasoning(r"<think>3+4=7</think>So \boxed{7}"), reasoning(r"3+4=7, \boxed{7}")
    ('3+4=7', '3+4=7, ')
    """
    before = _split(text)[0]
    return before.lstrip().removeprefix(_OPENING) if before.lstrip().startswith(_OPENING) else before


def final(text: str) -> str:
    r"""What comes after the last `</think>`, else from the last \boxed on, else nothing.

    >>> final(r"<think>3+4=7</think>So \boxed{7}"), final(r"3+4=7, \boxed{7}"), final("3+4=7")
    ('So \\boxed{7}', '\\boxed{7}', '')
    """
    return _split(text)[1]


def equations(text: str) -> str:
    r"""Numbers, operators and mathematical LaTeX commands in their order; words and names of variables are dropped.

    Thousands separators are taken out. A dash, a stroke, a colon or a bracket counts only beside a number.

    >>> equations(r"Tom's 1,200 well-known apples: \(2x + 3 = \frac{7}{2}\), hence 5 - 1 (so to say).")
    '1200 2 + 3 = \\frac 7 2 5 - 1'
    """
    found = []
    for match in _TOKENS.finditer(text):
        command, number, operator = match.group("command", "number", "operator")
        if command in _COMMANDS:
            found.append(f"\\{command}")
        elif number:
            found.append(number.replace(",", ""))
        elif operator:
            found.append(operator.strip())
    return " ".join(found)


def _split(text: str) -> tuple[str, str]:
    before, tag, after = text.rpartition(_CLOSING)
    if tag:
        return before, after
    start = text.rfind("\\boxed")
    return (text, "") if start < 0 else (text[:start], text[start:])


PARTS: Mapping[str, Callable[[str], str]] = {
    "full": full,
    "reasoning": reasoning,
    "final": final,
    "equations": equations,
}


class PartEncoder:
    """An encoder that sees one part of each text.

    Raises:
        ValueError: there is no such part, or the encoder already reads a part.
    """

    def __init__(self, encoder: Encoder, part: str) -> None:
        self._take = choose(PARTS, part, "part")
        self._encoder = encoder
        whole = encoder.identity
        if whole.part != "full":
            raise ValueError(f"the encoder already reads the part {whole.part!r}; a part of a part is not defined")
        self.identity: EncoderIdentity = dataclasses.replace(
            whole, part=part, revision=f"{whole.revision} parts={_RULES}"
        )

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of shape (N, E) of the parts; see `Encoder.encode`."""
        return self._encoder.encode([self._take(text) for text in checked_texts(texts)])

    def num_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text's part; None where the encoder behind has no window."""
        return count_tokens(self._encoder, [self._take(text) for text in checked_texts(texts)])
