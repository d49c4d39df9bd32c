r"""Where the answer stands in a response: small named rules that compose.

A rule finds a part of a text, or None when what it looks for is not there. Rules are applied from left to right:
`("after_think", "last_boxed")` means the last \boxed{...} of what follows the last `</think>`. Rules run in the
caller's process on whatever a model wrote, so each takes time linear in the text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from oger.words import choose

Span = tuple[int, int]  # where a part of a text begins, and the character after its end
Rule = Callable[[str], Span | None]

# What `last_boxed` has to see, in one pass: the commands (also \\boxed, from a text escaped twice), escapes, as an
# escaped brace does not nest, and braces.
_BRACES = re.compile(r"\\\\?(boxed|fbox|framebox)(?![a-zA-Z])|\\[\s\S]|[{}]")
_BOX_SIZE = re.compile(r"(?:[ \t]{0,4}\[[^\[\]{}\n]{0,40}\]){0,2}\s*")  # \framebox[3cm][c]{5}
# \boxed 5, \boxed \frac12, \boxed x at the end of a line; a word behind \boxed is prose that speaks of boxes.
_BARE_BOX = re.compile(
    r"[ \t]{0,4}([-+]?\d[\d.,]*(?<![.,])|\\(?!boxed|fbox|framebox)[a-zA-Z]{1,20}(?:[ ]?(?:\{[^{}]{0,200}\}|\d)){0,3}"
    r"|[a-zA-Z](?=[ \t]*(?:[$.,;]|$)))",
    re.MULTILINE,
)
_EMPHASIS = r"[ \t*_`]"
_PHRASE = re.compile(
    rf"(?:\b|(?<=__))(?:answer|(?:correct|right|best|final) (?:option|choice|answer)){_EMPHASIS}{{0,4}}"
    rf"(?:\s{{0,3}}(?:is|=)\b{_EMPHASIS}{{0,4}}\s{{0,3}}:?|[ \t]{{0,3}}[:=](?!=))[ \t*_]{{0,5}}"
    rf"|^[ \t#>*_]{{0,8}}(?:the |my |your )?(?:final |correct )?answer[ \t*_:]{{0,6}}$",  # a heading: the next line
    re.IGNORECASE | re.MULTILINE,
)
# What gives a reason or names what the answer is not.
_AFTERTHOUGHT = re.compile(
    r",? (?:because|since|rather than|instead of|as(?! (?:well|long|many|much|far)\b))\b"
    r"|, (?:and |but )?not\b| but not\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s)")
_UNDERLINE = re.compile(r"\A[ \t]{0,4}\r?\n(?:-{3,80}|={3,80})[ \t]{0,4}$", re.MULTILINE)  # Markdown's other heading
_BULLET = re.compile(r"\A[ \t]*+\r?\n\s*+[-+•–][ \t]++(?=\S)")  # of a list below the phrase; a minus touches its number
_HASHES = re.compile(r"^####(?=[^\n]*\S)", re.MULTILINE)
CLOSED = "</think>"  # reasoning ends
_TAGS = re.compile(r"<(/?)answer>", re.IGNORECASE)


def last_boxed(text: str) -> Span | None:
    r"""The content of the \boxed{...}, \fbox{...} or \framebox{...} that was opened last, braces inside it balanced.

    A box inside a box belongs to the outer one, and a box that holds nothing but a box is opened: \boxed{\boxed{3}}
    gives 3. `\boxed 5` and `\boxed \frac12`, without braces, are boxes. When the last one is never closed, the answer
    is unfinished: None, whatever stands before.

    >>> last_boxed(r"\boxed{9}. So the answer is 9.")
    (7, 8)
    >>> last_boxed(r"\boxed{1}. Wait: \boxed{") is None
    True
    """
    stack: list[int] = []  # of each open brace: where its box command begins; -1 when it opens no box
    boxes: dict[int, tuple[int, int]] = {}  # where a box command begins -> its content; its end is -1 while it is open
    command: re.Match[str] | None = None  # a box command whose brace is still to come
    for match in _BRACES.finditer(text):
        if match[1]:
            command = match
            if bare := _BARE_BOX.match(text, match.end()):
                boxes[match.start()] = bare.span(1)
            continue
        if match[0] == "{":
            if command is not None and _BOX_SIZE.fullmatch(text, command.end(), match.start()):
                stack.append(command.start())
                boxes[command.start()] = (match.end(), -1)
            else:
                stack.append(-1)
        elif match[0] == "}" and stack and (begins := stack.pop()) >= 0:
            boxes[begins] = boxes[begins][0], match.start()
        command = None
    found = _last_opened(boxes)
    while found is not None and (inner := _only_box(text, found, boxes)):
        found = inner
    return found


def _last_opened(boxes: Mapping[int, tuple[int, int]]) -> tuple[int, int] | None:
    """The content of the box that begins last among those in no other complete box; None when it is not closed."""
    found, covered = None, -1
    for start, end in boxes.values():  # in the order of their commands
        if end < 0:
            found = None
        elif start > covered:
            found, covered = (start, end), end
    return found


def _only_box(text: str, span: tuple[int, int], boxes: Mapping[int, tuple[int, int]]) -> tuple[int, int] | None:
    """The content of the box that `span` is, when it is nothing else but blanks."""
    start, end = span
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    inner = boxes.get(start)
    return inner if inner is not None and inner[1] == end - 1 else None


def after_think(text: str) -> Span | None:
    """What follows the last </think>; None when the reasoning was never closed."""
    closed = text.rfind(CLOSED)
    return None if closed < 0 else (closed + len(CLOSED), len(text))


def after_think_or_whole(text: str) -> Span:
    """What follows the last </think> if there is one, else the text: for policies that think aloud only at times."""
    return after_think(text) or (0, len(text))


def hash_answer(text: str) -> Span | None:
    """The rest of the last line that starts with #### and goes on (the GSM8K convention).

    >>> hash_answer("2+2=4\\n#### 4")
    (11, 12)
    """
    begins = [match.end() for match in _HASHES.finditer(text)]
    if not begins:
        return None
    line_ends = text.find("\n", begins[-1])
    return _stripped(text, begins[-1], len(text) if line_ends < 0 else line_ends)


def _stripped(text: str, begins: int, ends: int, beside: str | None = None) -> Span:
    """The span without blanks, or the characters `beside`, at both ends."""
    part = text[begins:ends]
    begins += len(part) - len(part.lstrip(beside))
    return begins, begins + len(part.strip(beside))


def answer_phrase(text: str) -> Span | None:
    """What follows the last "answer is", "Answer:", "answer =", "correct option is" or heading "Answer".

    It ends with its sentence or line, and before "because", "since" and "not".

    >>> extract_answer("So the answer is 12. Check: 3 * 4.", ["answer_phrase"])
    '12'
    >>> extract_answer("**Answer**: D, not B", ["answer_phrase"])
    'D'
    """
    ends = [match.end() for match in _PHRASE.finditer(text)]
    if not ends:
        return None
    line = _BULLET.sub("", _UNDERLINE.sub("", text[ends[-1] :]).lstrip(" \t*_`"))
    line = line.lstrip(" \t\r\n*_`")
    begins = len(text) - len(line)
    line = line.split("\n", 1)[0]
    sentence = _AFTERTHOUGHT.split(_SENTENCE_END.split(line, maxsplit=1)[0], maxsplit=1)[0]
    begins, past = _stripped(text, begins, begins + len(sentence))
    past = begins + len(text[begins:past].rstrip("*_`. \t"))
    return (begins, past) if begins < past else None


def answer_tag(text: str) -> Span | None:
    """Content of the last complete <answer>...</answer>, stripped.

    >>> extract_answer("<answer>3</answer> <answer> 4 </answer> <answer>", ["answer_tag"])
    '4'
    """
    opened: int | None = None
    found: Span | None = None
    for tag in _TAGS.finditer(text):
        if not tag[1]:
            opened = tag.end()
        elif opened is not None:
            found = (opened, tag.start())
            opened = None
    return None if found is None else _stripped(text, *found)


class Stated(NamedTuple):
    """Where a text states its answer."""

    begins: int
    ends: int
    in_box: bool


def stated_answer(text: str) -> Stated | None:
    r"""Where a text states its answer: in its last box, else in its last tag, behind its last ####, in its phrase.

    What follows the last `</think>` is read first, and the whole text where nothing is stated there.

    >>> texts = r"\boxed{9}. So 9.", "9, so\n#### 9", "9: the answer is 9.", r"\boxed{7}? No.</think> The answer is 9."
    >>> [text[stated.begins : stated.ends] for text in texts if (stated := stated_answer(text))]
    ['9', '9', '9', '9']
    """
    said = after_think(text)
    if said and (found := _stated_in(text[said[0] :])):
        return Stated(said[0] + found.begins, said[0] + found.ends, found.in_box)
    return _stated_in(text)


def _stated_in(text: str) -> Stated | None:
    for find in (last_boxed, answer_tag, hash_answer, answer_phrase):
        found = find(text)
        if found is not None and found[0] < found[1]:
            return Stated(*found, in_box=find is last_boxed)
    return None


def boxed_or_said(text: str) -> Span | None:
    r"""`last_boxed`, or else `answer_phrase`, or else the last word with a digit, behind its last "=".

    >>> [extract_answer(text, ["boxed_or_said"]) for text in (r"6*7=42. So \boxed{42", r"6*7=42 \boxed{41}")]
    ['42', '41']
    """
    found = last_boxed(text) or answer_phrase(text)
    if found is not None:
        return found
    last = next((word for word in reversed(text.split()) if any(map(str.isdigit, word))), None)
    if last is None:
        return None
    ends = text.rindex(last) + len(last)  # a word behind it that held it would hold its digit, too
    begins, ends = _stripped(text, ends - len(last.rpartition("=")[2].rpartition("boxed{")[2]), ends, "$*`.,;:!?")
    return (begins, ends) if begins < ends else None


def whole(text: str) -> Span | None:
    """The text itself, stripped; None when it is blank."""
    begins, ends = _stripped(text, 0, len(text))
    return (begins, ends) if begins < ends else None


ANSWER_RULES: Mapping[str, Rule] = {
    "last_boxed": last_boxed,
    "after_think": after_think,
    "after_think_or_whole": after_think_or_whole,
    "hash_answer": hash_answer,
    "answer_phrase": answer_phrase,
    "answer_tag": answer_tag,
    "boxed_or_said": boxed_or_said,
    "whole": whole,
}

DEFAULT_RULES = ("last_boxed",)


def extract_answer(text: str, rules: Sequence[str] = DEFAULT_RULES) -> str | None:
    """Apply the named rules in order; None as soon as one of them finds nothing.

    Raises:
        ValueError: A rule that is not in `ANSWER_RULES`; the message names the nearest.
    """
    span = extract_span(text, rules)
    return None if span is None else text[slice(*span)]


def extract_span(text: str, rules: Sequence[str] = DEFAULT_RULES) -> Span | None:
    r"""Where in the text the part that `extract_answer` gives begins, and the character after its end.

    >>> extract_span("7?</think>\n#### 9", ("after_think", "hash_answer"))
    (16, 17)

    Raises:
        ValueError: as `extract_answer`.
    """
    begins, ends = 0, len(text)
    for find in [choose(ANSWER_RULES, name, "answer rule") for name in rules]:
        found = find(text[begins:ends])
        if found is None:
            return None
        begins, ends = begins + found[0], begins + found[1]
    return begins, ends
