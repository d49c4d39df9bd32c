"""Where things lie that can be made again: $OGER_CACHE, else $XDG_CACHE_HOME/oger, else ~/.cache/oger."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder, which need not be there."""
    if os.environ.get("OGER_CACHE"):
        return Path(os.environ["OGER_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oger"
