"""Whole or not at all: new content replaces the old in one step, a failure leaves the old and no trace."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.io.whole import (
    MANIFEST,
    damage,
    remove_leftovers,
    whole_file,
    whole_folder,
    write_json,
    write_manifest,
    write_table,
    write_text,
)


def test_the_old_content_stays_until_the_new_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with whole_file(path) as beside:
        beside.write_text("new", encoding="utf-8")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_failure_leaves_the_old_content_and_no_trace(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")

    def fill(path: Path) -> None:
        path.write_text("half")
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"), whole_file(tmp_path / "a.txt") as beside:
        fill(beside)
    with pytest.raises(RuntimeError, match="disk"), whole_folder(tmp_path / "folder") as folder:
        fill(folder / "x")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_json_is_indented_and_ends_with_a_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1], "b": "é"})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1\n  ],\n  "b": "\\u00e9"\n}\n'
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1], "b": "é"}


def test_a_damaged_page_of_a_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_table(
        path, pa.table({"text": ["needle" * 20]}), compression="none", use_dictionary=False, write_statistics=False
    )
    assert pq.read_table(path)["text"].to_pylist() == ["needle" * 20]
    content = path.read_bytes()
    place = content.index(b"needleneedle")
    path.write_bytes(content[:place] + b"N" + content[place + 1 :])
    with pytest.raises(OSError, match="checksum"):
        pq.read_table(path, page_checksum_verification=True)
    write_table(path, pa.table({"text": ["a"] * 1000}))
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_folder_appears_whole_and_the_first_one_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with whole_folder(folder) as first:
        (first / "inner").mkdir()
        (first / "inner" / "x").write_text("first")
        assert not folder.exists()
        with whole_folder(tmp_path / "other") as other:
            (other / "y").write_text("y")
    with whole_folder(folder) as second:
        (second / "x").write_text("second")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "folder",
        "folder/inner",
        "folder/inner/x",
        "other",
        "other/y",
    ]


def test_leftovers_of_killed_processes_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".folder.1.tmp").mkdir()
    (tmp_path / ".folder.1.tmp" / "x").write_text("half")
    (tmp_path / ".file.1.tmp").write_text("half")
    (tmp_path / ".kept").write_text("mine")
    remove_leftovers(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".kept"]


def folder_with_manifest(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    (folder / "weights").write_bytes(b"\x01" * 1000)
    (folder / "deep" / "state").write_bytes(b"state")
    write_manifest(folder)
    assert damage(folder) is None
    return folder


def test_damage_of_the_same_size_is_named_where_contents_are_read(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / "weights").write_bytes(bytes(1000))
    assert damage(folder) == "weights is not what was written"
    assert damage(folder, contents=False) is None
    (folder / "weights").write_bytes(bytes(999))
    assert damage(folder, contents=False) == "weights has 999 of 1000 bytes"
    (folder / "weights").unlink()
    assert damage(folder) == "weights is missing"


def test_weights_and_states_that_a_manifest_leaves_out_are_damage(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / "notes.txt").write_text("mine")
    assert damage(folder) is None
    (folder / "optimizer.pt").write_bytes(bytes(10))
    assert damage(folder) == damage(folder, contents=False) == f"optimizer.pt is not in {MANIFEST}"


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 5000, "\\u0000", "\\ud800", "\\n", "a\\nb", ""])
def test_a_name_in_a_manifest_that_no_file_has_is_damage(tmp_path: Path, name: str) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / MANIFEST).write_text(f'{{"{name}": [1, "x"]}}')
    [line] = str(damage(folder)).splitlines()
    assert len(line) < 300
    assert damage(folder) is not None


@pytest.mark.parametrize("manifest", ["null", "{}", "[]", "[[1, 2]]", '"x"', "7", "{", "[" * 100_000, ""])
def test_a_manifest_that_lists_nothing_is_no_manifest(tmp_path: Path, manifest: str) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / MANIFEST).write_text(manifest)
    assert damage(folder) == f"{MANIFEST} is missing or unreadable"


@pytest.mark.parametrize("entry", ["null", '"1000"', "[]", "[1000]", '[1000, "x"]', "{}", "[null, null]", "-1"])
def test_an_odd_entry_of_a_manifest_is_damage(tmp_path: Path, entry: str) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / MANIFEST).write_text(f'{{"weights": {entry}}}')
    assert damage(folder) is not None


def test_a_manifest_of_sizes_alone_is_still_read(tmp_path: Path) -> None:
    folder = folder_with_manifest(tmp_path / "checkpoint")
    (folder / MANIFEST).write_text('{"weights": 1000, "deep/state": 5}')
    assert damage(folder) is None
    (folder / "deep" / "state").write_bytes(b"s")
    assert damage(folder) == "deep/state has 1 of 5 bytes"
