"""Errors of the user, as one line, and the exit codes of the command."""

from __future__ import annotations

import os

from oger.faults import RunFaultError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

DEBUG_VARIABLE = "OGER_DEBUG"
"""Set to 1, an error shows its traceback."""


class UserError(ValueError):
    """Something the user can put right; the message is one line that says how."""


SHOWN_AS_ONE_LINE = (
    ValueError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    RunFaultError,
)
"""What a wrong recipe, path or option raises, and what ends a run from outside. The rest are defects: traceback."""


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def one_line(error: BaseException) -> str:
    """ "error: ..." in one line."""
    message = " ".join(str(error).split()) or type(error).__name__
    return f"error: {message}"
