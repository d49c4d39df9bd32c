r"""What a gold answer says where a data set stores more than the answer: a worked solution, a tag, a list of one.

Small named rules, as for responses (`formats`); each takes time linear in the text. One text at a time, the first rule
that fits is used (`read_gold`); for a whole source, `survey` names the rule that fits most of it, in one line.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from oger.verification.formats import extract_answer

GoldRule = Callable[[str], str | None]

_MAX_WORDS = 30  # longer than any answer in words
_ENTRY = re.compile(r"\[\s*(?:'([^']*)'|\"([^\"]*)\")\s*,?\s*\]")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_ODD_BACKSLASHES = re.compile(r"(?<!\\)(?:\\\\)*\\(?!\\)")


def single_entry(text: str) -> str | None:
    """The entry of a list with one entry, as Python or JSON write it.

    >>> single_entry("['72']")
    '72'
    """
    found = _ENTRY.fullmatch(text.strip())
    if found is None:
        return None
    entry = found[1] if found[1] is not None else found[2]
    return entry if _ODD_BACKSLASHES.search(entry) else entry.replace("\\\\", "\\")


def as_it_is(text: str) -> str | None:
    """The text, unless it is blank or a solution of many words in which no mark says where the answer stands."""
    text = text.strip()
    return None if not text or len(_WORD.findall(text)) > _MAX_WORDS else text


_MARKS = {
    "hash_answer": re.compile("^####", re.MULTILINE),
    "answer_tag": re.compile("<answer>", re.IGNORECASE),
    "last_boxed": re.compile(r"\\(?:boxed|fbox|framebox)(?![a-zA-Z])"),
}
GOLD_RULES: Mapping[str, GoldRule] = {
    "single_entry": single_entry,
    **{rule: partial(extract_answer, rules=(rule,)) for rule in _MARKS},
    "as_it_is": as_it_is,
}


def rule_of_gold(text: str) -> str:
    """The name of the rule that reads a gold answer: that of the first mark it holds.

    >>> [rule_of_gold(text) for text in ("72", "#### 72", "['72']")]
    ['as_it_is', 'hash_answer', 'single_entry']
    """
    if single_entry(text) is not None:
        return "single_entry"
    return next((name for name, mark in _MARKS.items() if mark.search(text)), "as_it_is")


def read_gold(text: str) -> str | None:
    r"""The answer that a gold text gives; None when it is unreadable.

    >>> read_gold("2 + 2 is 4, so\n#### 4")
    '4'
    """
    found = GOLD_RULES[rule_of_gold(text)](text)
    return found.strip() or None if found is not None else None


@dataclass(frozen=True)
class GoldSurvey:
    """How the gold answers of one source are written."""

    rule: str
    """The rule that reads most of them."""
    num_golds: int
    num_other: int
    """Read by another rule."""
    unreadable: tuple[int, ...]
    """Positions of those that no rule reads."""

    @property
    def line(self) -> str:
        """The one line to print about the source."""
        text = f"gold answers: {self.num_golds} read by the rule {self.rule}"
        if self.num_other:
            text += f", {self.num_other} of them by others"
        if self.unreadable:
            text += f"; {len(self.unreadable)} unreadable (the first in row {self.unreadable[0]}), never wrong"
        return text


def survey(golds: Iterable[str]) -> GoldSurvey:
    """How the gold answers of a source are written, guessed once, from all of them.

    >>> survey(["#### 3", "so\\n#### 4", "####"]).line
    'gold answers: 2 read by the rule hash_answer; 1 unreadable (the first in row 2), never wrong'
    """
    rules: Counter[str] = Counter()
    unreadable = []
    for index, gold in enumerate(golds):
        if read_gold(gold) is None:
            unreadable.append(index)
        else:
            rules[rule_of_gold(gold)] += 1
    rule, most = rules.most_common(1)[0] if rules else ("as_it_is", 0)
    return GoldSurvey(rule, rules.total(), rules.total() - most, tuple(unreadable))
