"""What the command shows as one line, and its exit codes."""

from __future__ import annotations

import os

from oger.faults import RunFaultError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130

DEBUG_VARIABLE = "OGER_DEBUG"
"""Set to 1, an error shows its traceback."""

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
