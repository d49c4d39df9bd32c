"""Errors for people: one line that says what to do."""

from __future__ import annotations


class UserError(ValueError):
    """Something the user can put right; the message is one line that says how."""


def one_line(error: BaseException, most: int | None = None) -> str:
    """What an error says, in one line of at most `most` characters; its type where it says nothing.

    >>> one_line(ValueError("two\\n  lines")), one_line(KeyError()), one_line(OSError("disk full"), 4)
    ('two lines', 'KeyError', 'disk')
    """
    return (" ".join(str(error).split()) or type(error).__name__)[:most]
