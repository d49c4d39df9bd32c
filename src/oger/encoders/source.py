"""Where a model's files come from, and a fingerprint that changes when they do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from oger.io.local import looks_local, meant
from oger.terminal.errors import one_line


@dataclass(frozen=True)
class ModelSource:
    """A model in a folder or on the hub."""

    location: str
    """Folder or hub id."""
    commit: str | None
    """Commit of a hub model, so that nothing newer is loaded later; None for a folder."""
    fingerprint: str
    """Digest of the folder's files, or hub id and commit."""


def find_model(argument: str, *, encoder: str, revision: str | None = None) -> ModelSource:
    """The model that follows the colon of an encoder's spec.

    Args:
        argument: Folder or hub id.
        encoder: Name of the encoder, for messages.
        revision: Branch, tag or commit of a hub model; None = its main branch.

    Raises:
        ValueError: nothing was named, the hub has no such model, or a folder was given a revision.
        FileNotFoundError: the argument is written as a path and no such folder exists.
    """
    if not argument:
        raise ValueError(f"the encoder {encoder!r} needs a model: write {encoder}:FOLDER")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"revision={revision!r} is for a model of the hub; {argument} is a folder")
        return ModelSource(str(folder), None, f"sha256:{folder_digest(folder)}")
    if looks_local(argument) or argument.count("/") > 1:
        raise FileNotFoundError(f"encoder {encoder}: the folder {argument} does not exist{meant(argument)}")
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(argument, revision=revision, allow_patterns=["*.json"])
    except (OSError, ValueError) as error:  # fault boundary: the network, the hub and its cache
        raise ValueError(
            f"encoder {encoder}: {argument} is no folder, and the hub gives no such model: {one_line(error)}"
        ) from error
    commit = Path(snapshot).name
    return ModelSource(argument, commit, f"{argument}@{commit}")


def folder_digest(folder: Path) -> str:
    """SHA-256 over names and contents of a folder's files; hidden ones and *.md, which change no vector, are left out.

    Reads the whole folder, about a second per gigabyte.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        if name.suffix == ".md" or any(piece.startswith(".") or piece == "__pycache__" for piece in name.parts):
            continue
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name.as_posix()}\0{content}\n".encode())
    return digest.hexdigest()[:32]


def require(module: str, *, encoder: str) -> Any:
    """An optional dependency.

    Raises:
        ValueError: it is not installed; says what to install.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"the encoder {encoder!r} needs {module}: pip install {module.replace('_', '-')}") from error
