"""Folders that are there whole or not at all: written beside their place, on disk before they take it.

A checkpoint holds a list of its files and their sizes, written last, by which a damaged one is told from a whole one.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

MANIFEST = "oger_files.json"


def put_in_place(new: Path, folder: Path) -> None:
    """Makes `new`, once it is on disk, take the place of `folder`, which need not be there."""
    old = _old(folder)
    for path in (*new.rglob("*"), new):
        _sync(path)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(new, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def settle(folder: Path) -> None:
    """Undoes what a kill may have left between two steps of `put_in_place`: the old content is the content again."""
    if _old(folder).exists() and not folder.exists():
        os.rename(_old(folder), folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def write_manifest(folder: Path) -> None:
    """Lists the files below `folder` and their sizes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    (folder / MANIFEST).write_text(json.dumps(sizes, indent=1) + "\n", encoding="utf-8")


def damage(folder: Path) -> str | None:
    """What is wrong with a folder that `write_manifest` was called on, None if every file is there and as long as then.

    A changed byte within a file is not noticed: reading every file of a large checkpoint would take minutes.
    """
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return f"{MANIFEST} is missing or unreadable"
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} of {size} bytes"
    return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
