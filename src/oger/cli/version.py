"""`oger version`."""

from __future__ import annotations

import oger
from oger.reporting.plain import say


def version() -> None:
    """Print the version."""
    say(f"oger {oger.__version__}")
