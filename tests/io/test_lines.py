"""Lines that only grow: what was appended is read back, a failure leaves whole lines, a torn end is recognised."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oger.io import lines as lines_module
from oger.io.lines import LineFile, read_lines


def test_rows_are_read_back_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LineFile(path) as file:
        file.append([{"a": "é"}, {"b": 1}])
        file.sync()
        file.append([])
        assert file.size == 21
    with LineFile(path) as file:
        file.append([{"c": None}])
    lines = list(read_lines(path))
    assert [line.row() for line in lines] == [{"a": "é"}, {"b": 1}, {"c": None}]
    assert [(line.number, line.start, line.end) for line in lines] == [(1, 0, 12), (2, 12, 21), (3, 21, 33)]
    assert list(read_lines(tmp_path / "none.jsonl")) == []


def test_a_torn_line_is_recognised_and_cut_or_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"b": 2}')
    first, last = read_lines(path)
    assert (first.is_whole, last.is_whole) == (True, False)
    with LineFile(path) as file:
        file.end_line()
    assert [line.is_whole for line in read_lines(path)] == [True, True]
    with LineFile(path) as file:
        file.cut(first.end)
        file.append([{"c": 3}])
    assert path.read_bytes() == b'{"a": 1}\n{"c": 3}\n'


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"[1]\n", "not a JSON object"), (b"torn", "Expecting"), (b"\xff\n", "decode"), (b"[" * 100_000, "nested")],
)
def test_what_is_no_object_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    [line] = read_lines(tmp_path / "a.jsonl")
    with pytest.raises(ValueError, match=words):
        line.row()


def test_what_is_no_strict_json_is_refused_and_nothing_of_it_written(tmp_path: Path) -> None:
    with LineFile(tmp_path / "a.jsonl") as file:
        with pytest.raises(ValueError, match="JSON compliant"):
            file.append([{"a": 1}, {"b": float("nan")}])
        with pytest.raises(UnicodeEncodeError):
            file.append([{"a": "\ud800"}])
    assert (tmp_path / "a.jsonl").read_bytes() == b""
    with LineFile(tmp_path / "a.jsonl", ascii=True) as file:
        file.append([{"a": "\ud800"}])
    [line] = read_lines(tmp_path / "a.jsonl")
    assert line.row() == {"a": "\ud800"}


def test_a_full_disk_leaves_whole_lines_only(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.jsonl"
    real = os.write
    with LineFile(path) as file:
        file.append([{"a": 1}])
        calls = []

        def full(descriptor: int, data: bytes) -> int:
            calls.append(data)
            if len(calls) > 1:
                raise OSError(28, "No space left on device")
            return real(descriptor, bytes(data)[:4])

        monkeypatch.setattr(lines_module.os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.append([{"b": 2}])
    assert path.read_bytes() == b'{"a": 1}\n'
