"""Stored responses: whole after a torn write, locked, never mixed with others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oger.evaluation.backends.base import Generated
from oger.evaluation.store import LINES, TABLE, ResponseStore, StoreError, prompt_hash, stored_responses

SETTINGS = {"seed": 0, "policy": {"weights": "abc"}}
ASKED = {"p": prompt_hash("1+1=?")}


def response(sample: int, text: str = "2") -> Generated:
    return Generated("p", sample, text, 1, "stop")


def graded(sample: int) -> dict:
    texts = ("prompt", "answer", "kind", "metadata", "extracted", "status", "reason", "rules")
    return {
        **dict.fromkeys(texts, "x"), "metadata": None, "asked": ASKED["p"], "problem": "p", "sample": sample,
        "text": "2", "num_tokens": None, "finish_reason": "stop",
    }  # fmt: skip


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    with ResponseStore(tmp_path / "a", SETTINGS) as store:
        store.add([response(0), response(1, "ü \ud83d")], ASKED)
    with ResponseStore(tmp_path / "a", SETTINGS) as store:
        assert store.responses["p", 1].generated == response(1, "ü \ud83d")
        assert store.responses["p", 0].asked == ASKED["p"]
        with pytest.raises(RuntimeError, match="stored already"):
            store.add([response(1)], ASKED)


@pytest.mark.parametrize("torn", range(1, 60, 7))
def test_a_torn_line_is_cut_off_and_the_next_is_whole(tmp_path: Path, torn: int) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(0)], ASKED)
        whole = (tmp_path / LINES).stat().st_size
        store.add([response(1)], ASKED)
    with open(tmp_path / LINES, "r+b") as file:
        file.truncate(whole + torn)
    assert set(stored_responses(tmp_path)) == {("p", 0)}
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(1)], ASKED)
    assert [json.loads(line)["sample"] for line in (tmp_path / LINES).read_text().splitlines()] == [0, 1]


def test_the_table_takes_the_place_of_the_lines(tmp_path: Path) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(0), response(1)], ASKED)
        store.close_table([graded(0)])
        assert (tmp_path / LINES).stat().st_size  # sample 1 lies only there
        store.close_table([graded(0), graded(1)])
    assert not (tmp_path / LINES).exists()
    assert set(stored_responses(tmp_path)) == {("p", 0), ("p", 1)}


def test_a_second_process_and_other_settings_are_refused(tmp_path: Path) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(0)], ASKED)
        with pytest.raises(StoreError, match="another process"):
            ResponseStore(tmp_path, SETTINGS)
    with pytest.raises(StoreError, match="drawn with seed 0, now it is 1"):
        ResponseStore(tmp_path, {**SETTINGS, "seed": 1})
    assert len(stored_responses(tmp_path)) == 1


@pytest.mark.parametrize(("name", "content"), [(LINES, b'{"mine": 1}\n'), (TABLE, b"no parquet")])
def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError, match=name):
        ResponseStore(tmp_path, SETTINGS)
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("num_tokens", [10**400, 2**40, -1, "many", True, [1]])
def test_a_number_that_no_table_takes_does_not_hold_a_store_up(tmp_path: Path, num_tokens: object) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(0)], ASKED)
    line = json.loads((tmp_path / LINES).read_text())
    (tmp_path / LINES).write_text(json.dumps({**line, "num_tokens": num_tokens}) + "\n")
    with ResponseStore(tmp_path, SETTINGS) as store:
        [kept] = store.responses.values()
        assert kept.generated.num_tokens is None
        store.close_table([{**graded(0), "num_tokens": kept.generated.num_tokens}])
    assert set(stored_responses(tmp_path)) == {("p", 0)}


@pytest.mark.parametrize(("name", "value"), [("sample", 2**40), ("sample", -1), ("sample", "0"), ("text", None)])
def test_a_line_that_holds_no_response_is_named(tmp_path: Path, name: str, value: object) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.add([response(0)], ASKED)
    line = json.loads((tmp_path / LINES).read_text())
    (tmp_path / LINES).write_text(json.dumps({**line, name: value}) + "\n")
    with pytest.raises(StoreError, match=r"responses\.jsonl line 1 is no response of ours"):
        ResponseStore(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"), [("text", None), ("groups", "{"), ("groups", "[1]"), ("metadata", "x"), ("status", None)]
)
def test_a_damaged_row_of_the_table_is_named(tmp_path: Path, name: str, value: object) -> None:
    with ResponseStore(tmp_path, SETTINGS) as store:
        store.close_table([graded(0), {**graded(1), name: value}])
    with pytest.raises(StoreError, match=r"responses\.parquet row 1 is no response of ours"):
        stored_responses(tmp_path)


@pytest.mark.parametrize("content", ["null", "[]", "{", "[" * 100_000, "\udcff"])
def test_damaged_settings_are_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=r"settings\.json is damaged"):
        ResponseStore(tmp_path, SETTINGS)


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".responses.parquet.12.tmp").write_text("half")
    with ResponseStore(tmp_path, SETTINGS):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]
