"""Files of JSON lines that only grow: a kill or a full disk tears at most the last line.

One row is one line of strict JSON: NaN and infinity are refused. What a torn last line means is for the reader to say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oger.io.whole import regular


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands in a file."""

    number: int
    """From 1."""
    start: int
    """Bytes before it."""
    content: bytes

    @property
    def is_whole(self) -> bool:
        """Whether it ends; only the last line of a file may not."""
        return self.content.endswith(b"\n")

    @property
    def end(self) -> int:
        """Bytes up to its end."""
        return self.start + len(self.content)

    def row(self) -> dict[str, Any]:
        """The object that it holds.

        Raises:
            ValueError: it holds none.
        """
        try:
            row = json.loads(self.content)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if not isinstance(row, dict):
            raise ValueError("not a JSON object")
        return row


def read_lines(path: Path) -> Iterator[Line]:
    """Every line of a file, the torn one at its end included; a missing file has none.

    Raises:
        ValueError: it is no regular file.
    """
    if not path.exists():
        return
    start = 0
    with open(regular(path), "rb") as file:
        for number, content in enumerate(file, start=1):
            yield Line(number, start, content)
            start += len(content)


class LineFile:
    """A file of JSON lines open for appending; made where it is not there. A context manager.

    Args:
        path: its folder is there.
        ascii: whether characters beyond ASCII are written as escapes; halves of surrogate pairs need that.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no regular file.
    """

    def __init__(self, path: Path, *, ascii: bool = False) -> None:
        if path.exists():
            regular(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._ascii = ascii

    def __enter__(self) -> LineFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Bytes."""
        return os.fstat(self._descriptor).st_size

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows. The system has them then: only a crash of the machine can lose them, until `sync`.

        Raises:
            OSError: the disk refuses; the file is as it was.
            ValueError: a row is no strict JSON; the file is as it was.
        """
        lines = [json.dumps(row, ensure_ascii=self._ascii, allow_nan=False) + "\n" for row in rows]
        self._write("".join(lines).encode())

    def end_line(self) -> None:
        """Ends the last line, which lacks only its line break."""
        self._write(b"\n")

    def cut(self, end: int) -> None:
        """Leaves the first `end` bytes."""
        os.ftruncate(self._descriptor, end)

    def sync(self) -> None:
        """Waits until the disk has every line."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """No more is added."""
        os.close(self._descriptor)

    def _write(self, content: bytes) -> None:
        size, data = self.size, memoryview(content)
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self.cut(size)  # nothing may be appended to half a line
            raise
