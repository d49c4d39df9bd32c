"""The paths in a recipe: absolute where a run saves it, and found again after the run has moved with its data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

_PATHS = ("model", "train", "validation", "encoder_cache")
_PREFIXED = ("encoder", "rollouts")
"""Keys whose value is a word, or PREFIX:PATH."""

_Change = Callable[[str], str]


def absolute_paths(document: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's mapping with every path that is there written from the root, and `output_dir` in any case.

    Kinds and shaping rewards stay as they are written: data and metrics name them so.
    """
    changed = _changed(document, lambda path: os.path.abspath(os.path.expanduser(path)) if _is_there(path) else path)
    return {**changed, "output_dir": os.path.abspath(os.path.expanduser(changed["output_dir"]))}


def moved_paths(document: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """A saved recipe's mapping as it holds where its run lies now.

    Args:
        document: saved with `absolute_paths`, its `output_dir` being where the run was.
        folder: where it is.
    """
    before, now = str(document["output_dir"]), os.path.abspath(folder)
    if not os.path.isabs(before) or before == now:
        return dict(document)

    def follow(path: str) -> str:
        there = os.path.normpath(os.path.join(now, os.path.relpath(path, before))) if os.path.isabs(path) else path
        return there if os.path.exists(there.partition("@")[0]) else path

    return {**_changed(document, follow), "output_dir": now}


def _is_there(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path)) or os.path.exists(os.path.expanduser(path.rpartition("@")[0]))


def _changed(document: Mapping[str, Any], change: _Change) -> dict[str, Any]:
    found = dict(document)
    for key in _PATHS:
        if isinstance(found.get(key), str):
            found[key] = _path(found[key], change)
    for key in _PREFIXED:
        if isinstance(found.get(key), str) and ":" in found[key]:
            found[key] = _path(found[key], change)
    if isinstance(found.get("test"), Mapping):
        found["test"] = {name: _path(source, change) for name, source in found["test"].items()}
    if isinstance(rewards := found.get("rewards"), list | tuple):
        found["rewards"] = [_path(name, change) if ".py" in name else name for name in rewards]
    if isinstance(found.get("first"), Mapping):
        found["first"] = _changed(found["first"], change)
    return found


def _path(text: Any, change: _Change) -> Any:
    """PATH, PREFIX:PATH and FILE.py:NAME with the path in them changed."""
    if not isinstance(text, str):
        return text
    head, colon, rest = text.partition(":")
    if not colon:
        return change(text)
    if head.endswith(".py"):
        return f"{change(head)}:{rest}"
    is_prefix = head.replace("-", "_").isidentifier()
    return f"{head}:{_path(rest, change)}" if is_prefix else text
