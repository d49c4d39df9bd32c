"""`oger version`."""

from __future__ import annotations

import oger
from oger.terminal.plain import say


def version() -> None:
    """Print the version."""
    say(f"oger {oger.__version__}")
