"""Names that can only be meant as paths: they are looked for on the disk, and the hub is never asked for them."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

_BEGINS = (".", "/", "~", "runs/")


def looks_local(name: str) -> bool:
    """Whether a name is written as a path, or begins with a folder that is there; a hub id does neither."""
    first = name.split("/")[0]
    return name.startswith(_BEGINS) or os.path.exists(name) or ("/" in name and os.path.isdir(first))


def meant(name: str) -> str:
    """ "; did you mean PATH?" for a path that is not there, "" where nothing beside it has a similar name."""
    path = Path(name).expanduser()
    while not path.parent.is_dir() and path.parent != path:
        path = path.parent
    if path.exists() or not path.parent.is_dir():
        return ""
    found = get_close_matches(path.name, sorted(os.listdir(path.parent)), n=1, cutoff=0.6)
    return f"; did you mean {path.with_name(found[0])}?" if found else ""
