"""JSON files of our own: one object each, which a kill, a disk or a person may have damaged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oger.io.whole import regular
from oger.terminal.errors import one_line

NUMBER = (int, float)
"""Kind of a number."""


def read_object(path: Path, kinds: Mapping[str, type | tuple[type, ...]] | None = None) -> dict[str, Any]:
    """The object in a file.

    Args:
        path: of the file.
        kinds: key that it must have -> kind of its value.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: no regular file, no JSON, no object, or a key is missing or of another kind; the message is one line
            that names the file.
    """
    content = read_content(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: it holds no JSON object")
    for key, kind in (kinds or {}).items():
        if not isinstance(content.get(key), kind):
            raise ValueError(f"{path} is damaged: {key} is missing or of another kind")
    return content


def read_content(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: no regular file, or no JSON; the message is one line that names the file.
    """
    try:
        return json.loads(regular(path).read_bytes().decode("utf-8"))
    except RecursionError as error:
        raise ValueError(f"{path} is damaged: nested too deep") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: no JSON ({one_line(error, 200)})") from error
    except ValueError as error:
        raise ValueError(one_line(error, 300) if str(path) in str(error) else f"{path} is damaged: {error}") from error
