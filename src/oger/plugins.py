"""One way to find what a user wrote: by a built-in name, an entry point, a module, or a file.

NAME                       a built-in, or an entry point that an installed package registered under the group
package.module:function    anything importable
path/to/file.py:function   a file, relative to the working folder; ":function" may be left out where the file
                           defines one object of the kind
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from oger.words import choose


def load_plugin(spec: str, *, table: Mapping[str, Any], group: str, what: str) -> Any:
    """The object that `spec` names.

    Args:
        spec: In one of the three forms above.
        table: Built-in objects by name; they win over entry points of the same name.
        group: Group of entry points, such as "oger.kinds".
        what: What is being looked for, for messages ("kind").

    Raises:
        ValueError: No such name (the message names the nearest), module, file or attribute.
    """
    if spec in table:
        return table[spec]
    if ":" in spec or spec.endswith(".py"):
        return import_object(spec, what=what)
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    registered: dict[str, Any] = {point.name: point for point in entry_points(group=group)}
    point = choose({**table, **registered}, spec, what)
    return import_object(point.value, what=f"{what} {spec!r} at")


def import_object(spec: str, *, what: str) -> Any:
    """The object at "package.module:attribute" or "file.py:attribute"; the module itself where no attribute is named,
    for callers that can find what they want in it.

    Raises:
        ValueError: The module, the file or the attribute is missing, or importing it fails.
    """
    place, colon, attribute = spec.partition(":")
    if not place or (colon and not attribute):
        raise ValueError(f"{what} {spec!r} is not of the form package.module:function")
    found: Any = _module_of_file(Path(place), what) if place.endswith(".py") else _module(place, spec, what)
    for part in attribute.split(".") if attribute else ():
        if not hasattr(found, part):
            raise ValueError(f"{what} {spec!r}: {place} has no {attribute!r}")
        found = getattr(found, part)
    return found


def _module(name: str, spec: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # fault boundary: a user's or another package's code runs here
        raise ValueError(f"{what} {spec!r} cannot be imported: {_reason(error)}") from error


def _module_of_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        raise ValueError(f"{what}: the file {path} does not exist (looked in {Path.cwd()})")
    name = f"oger_file_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=8).hexdigest()}"
    if name in sys.modules:
        return sys.modules[name]
    loader = importlib.util.spec_from_file_location(name, path)
    assert loader is not None, "a file that ends in .py has a loader"
    assert loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    sys.modules[name] = module
    try:
        loader.loader.exec_module(module)
    except Exception as error:  # fault boundary: a user's code runs here
        del sys.modules[name]
        raise ValueError(f"{what}: {path} cannot be imported: {_reason(error)}") from error
    return module


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
