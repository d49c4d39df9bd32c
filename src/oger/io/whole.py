"""Files and folders that are there whole or not at all: written beside their place, on disk before they take it.

A kill leaves at most a hidden file or folder `.NAME.PID.tmp`; a failure leaves nothing. A checkpoint holds a list of
its files, their sizes and checksums, written last, by which a damaged one is told from a whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "oger_files.json"
_LOADED = (".safetensors", ".pt", ".pth", ".bin")
"""Ends of names of weights and states, of which a list leaves none out."""
_LEFT_OVER = re.compile(r"\..+\.[0-9]+\.tmp", re.DOTALL)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the place of `path` once the body has ended without an error."""
    beside = _beside(path)
    try:
        yield beside
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes `folder` once the body has ended without an error.

    Where `folder` is there by then, since another process was faster, that one stays.
    """
    beside = _beside(folder)
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
        _sync_tree(beside)
        try:
            os.rename(beside, folder)
        except OSError:
            if not folder.is_dir():
                raise
        sync(folder.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """A file of UTF-8 text; its folder is there."""
    with whole_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """A JSON file for people too: indented by two."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_table(path: Path, table: pa.Table, **options: Any) -> None:
    """A Parquet file, zstd, with a checksum of every page unless the options of `pyarrow.parquet.write_table` say
    otherwise."""
    import pyarrow.parquet as pq

    with whole_file(path) as beside:
        pq.write_table(table, beside, **{"compression": "zstd", "write_page_checksum": True, **options})


def remove_leftovers(folder: Path) -> None:
    """Removes what killed processes left half written in `folder`; nobody may be writing there."""
    for path in folder.glob(".*.tmp"):
        if is_leftover(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_leftover(path: Path) -> bool:
    """Whether a killed process may have left it half written: its name is one that only `whole_file` and `whole_folder`
    give."""
    return _LEFT_OVER.fullmatch(path.name) is not None


def put_in_place(new: Path, folder: Path) -> None:
    """Makes the folder `new`, once it is on disk, take the place of `folder`, which need not be there."""
    old = _old(folder)
    _sync_tree(new)
    if folder.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.rename(folder, old)
    os.rename(new, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def settle(folder: Path) -> None:
    """Undoes what a kill may have left between two steps of `put_in_place`: the old content is the content again."""
    if _old(folder).exists() and not folder.exists():
        os.rename(_old(folder), folder)


def regular(path: Path) -> Path:
    """The path of a file that can be read without waiting for anyone.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a pipe, a device or a folder.
    """
    if path.is_file():
        return path
    if path.exists():
        raise ValueError(f"{path} is no regular file, and is not read")
    raise FileNotFoundError(f"{path} does not exist")


def check_place(path: Path, *, makes_folders: bool = False) -> None:
    """Whether a file or folder can be made at `path`: asked before the work whose result goes there.

    Args:
        path: nothing is there yet, or what is there will be replaced.
        makes_folders: whether the folders above it are made with it.

    Raises:
        OSError: it cannot; nothing has been made.
    """
    folder = path.absolute().parent
    while makes_folders and not os.path.lexists(folder):
        folder = folder.parent
    if not folder.exists():
        raise FileNotFoundError(f"{folder}, where {path.name} is to go, does not exist")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}, where {path.name} is to go, is no folder")
    try:
        with tempfile.TemporaryFile(dir=folder):  # what a file system refuses, no question about permissions tells
            pass
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # the place that was named, not the trial's


def sync(path: Path) -> None:
    """Waits until the disk has a file, or the entries of a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def write_manifest(folder: Path) -> None:
    """Lists the files below `folder`, their sizes and their checksums."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    listed = {path.relative_to(folder).as_posix(): [path.stat().st_size, _checksum(path)] for path in files}
    (folder / MANIFEST).write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


def damage(folder: Path, *, contents: bool = True) -> str | None:
    """What is wrong with a folder that `write_manifest` was called on, None if every file is as it was then.

    Args:
        folder: an older manifest lists sizes alone, and no more is compared.
        contents: whether files are read, too, about a second for each gigabyte; without it a changed byte within a file
            is not noticed.

    Raises:
        OSError: a file that is there cannot be read, which says nothing about what is in it.
    """
    try:
        listed = json.loads(regular(folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        listed = None
    if not isinstance(listed, dict) or not listed:
        return f"{MANIFEST} is missing or unreadable"
    for path in folder.iterdir():
        if path.suffix in _LOADED and path.name not in listed:
            return f"{path.name} is not in {MANIFEST}"
    for name, entry in listed.items():
        size, checksum = entry if isinstance(entry, list) and len(entry) == 2 else (entry, None)
        path, shown = folder / name, " ".join(name[:200].split()) or repr(name)  # in one line
        try:
            there = path.is_file()
        except OSError:  # a name that no file has
            there = False
        if not there:
            return f"{shown} is missing"
        if path.stat().st_size != size:
            return f"{shown} has {path.stat().st_size} of {size} bytes"
        if contents and checksum is not None and _checksum(path) != checksum:
            return f"{shown} is not what was written"
    return None


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _sync_tree(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        sync(path)
