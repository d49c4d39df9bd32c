"""JSON files of our own: an object, or one line that names the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oger.io.objects import NUMBER, read_object


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"x"',
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
    ],
    ids=lambda content: content[:8],
)
def test_what_is_no_object_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "summary.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"summary\.json is damaged: ") as refused:
        read_object(path)
    assert "\n" not in str(refused.value)


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"step": 1, "value": 0.5}')
    assert read_object(path, {"step": int, "value": NUMBER}) == {"step": 1, "value": 0.5}
    for kinds in ({"step": str}, {"other": int}):
        with pytest.raises(ValueError, match=r"a\.json is damaged: (step|other) is missing or of another kind"):
            read_object(path, kinds)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(ValueError, match="no regular file"):
            read_object(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        read_object(tmp_path / "none")
