"""Lines for people: what a model, a teacher or a file wrote is shown on a terminal, never obeyed by it."""

from __future__ import annotations

_LINE_BREAK_AND_TAB = (0x09, 0x0A)
_CONTROLS = (code for codes in (range(0x20), range(0x7F, 0xA0)) for code in codes if code not in _LINE_BREAK_AND_TAB)
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_SURROGATES = range(0xD800, 0xE000)  # halves of a pair, which no terminal's encoding can carry
_SHOWN_AS = {**dict.fromkeys((*_CONTROLS, *_DIRECTIONS)), **dict.fromkeys(_SURROGATES, "\ufffd")}


def plain(text: str) -> str:
    r"""`text` without what a terminal obeys: escape sequences lose their escape, directions of writing are dropped.

    >>> plain("\x1b]0;title\x07 two\r\n\u202elines")
    ']0;title two\nlines'
    """
    return text.translate(_SHOWN_AS)


def ends(text: str, characters: int) -> str:
    """`text` in one line, its middle left out where it is longer than `characters`.

    >>> ends("one  two\\nthree four", 8)
    'one  ... four'
    """
    text = " ".join(text.split())
    half = characters // 2
    return text if len(text) <= characters else f"{text[:half]} ... {text[-half:]}"


def say(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print `plain(text)` on standard output, or on standard error for `err`."""
    import typer

    typer.echo(plain(text), err=err, nl=nl)
