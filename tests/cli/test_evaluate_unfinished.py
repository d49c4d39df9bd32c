"""Responses that did not come to their own end: one rule, wherever they were drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.endpoint_server import EndpointServer

ENDINGS = ("stop", "length", "content_filter", "tool_calls", "function_call", "abort", "max_tokens", "refusal")
OPEN = "world:arithmetic"


def rows_file(path: Path) -> Path:
    """A problem for each ending; the test server answers 7 to all, which is wrong for the last."""
    answers = [*("7" for _ in ENDINGS[1:]), "8"]
    rows = [{"id": f"q{n}", "prompt": f"#{n}", "answer": answer} for n, answer in enumerate(answers)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ending(call: object) -> str:
    return f"finish:{ENDINGS[int(call.key[0].lstrip('#'))]}"  # type: ignore[attr-defined]


def asked(server: EndpointServer, tmp_path: Path, *more: object) -> tuple[object, ...]:
    rows = rows_file(tmp_path / "mine.jsonl")
    options = ("--endpoint", server.url, "--benchmarks", rows, "--samples", 1, "--out", tmp_path / "ev")
    return ("evaluate", "m", *options, *more)


def statuses(out: Path) -> dict[str, str]:
    [table] = out.glob("*/*/responses.parquet")
    return {row["problem"]: row["status"] for row in pq.read_table(table).to_pylist()}


def summary(out: Path) -> dict:
    [path] = out.glob("*/*/summary.json")
    return json.loads(path.read_text())


def test_only_an_answer_with_a_natural_end_is_correct(oger, tmp_path) -> None:
    with EndpointServer(ending) as server:
        result = oger(*asked(server, tmp_path))
    assert result.code == 0, result.err
    found = statuses(tmp_path / "ev")
    assert found == {"q0": "correct", **{f"q{n}": "unfinished" for n in range(1, 7)}, "q7": "wrong"}
    numbers = summary(tmp_path / "ev")
    assert (numbers["avg@1"], numbers["maj@k"]["1"], numbers["format_rate"]) == (1 / 8, 1 / 8, 1 / 8)
    assert (numbers["unfinished"], numbers["unfinished_right"]) == ("wrong", 6)
    assert numbers["unfinished_responses"] == dict(Counter(ENDINGS[1:]))
    assert "m, mine: 7 of 8 responses did not end by themselves (length 1, content_filter 1, " in result.out
    assert "and count as wrong, 6 of these although the text holds the right answer (see --unfinished)" in result.out


def test_their_texts_are_graded_where_this_is_asked_for_and_back_without_drawing(oger, tmp_path) -> None:
    with EndpointServer(ending) as server:
        assert oger(*asked(server, tmp_path)).code == 0
        wrong = summary(tmp_path / "ev")
        graded = oger(*asked(server, tmp_path, "--unfinished", "graded"))
        assert len(server.calls) == 8
        assert summary(tmp_path / "ev")["avg@1"] == 7 / 8
        assert "did not end by themselves" in graded.out
        assert "6 of these count as correct by their text" in graded.out
        regraded = oger("evaluate", "--regrade", tmp_path / "ev")
        assert "0 verdicts changed, correct 7 -> 7" in regraded.out
        back = oger("evaluate", "--regrade", tmp_path / "ev", "--unfinished", "wrong")
        assert "6 verdicts changed, correct 7 -> 1" in back.out
        assert {**summary(tmp_path / "ev"), "settings": 0} == {**wrong, "settings": 0}
        assert oger(*asked(server, tmp_path)).code == 0
        assert len(server.calls) == 8
    assert summary(tmp_path / "ev") == wrong


def test_a_server_that_says_nothing_has_no_correct_answer_and_is_named(oger, tmp_path) -> None:
    with EndpointServer(lambda call: "no-finish") as server:
        result = oger(*asked(server, tmp_path))
    assert result.code == 0, result.err
    assert summary(tmp_path / "ev")["avg@1"] == 0
    assert "8 of 8 responses did not end by themselves (no finish reason 8)" in result.out


def test_a_response_cut_behind_its_box_is_unfinished_here_too(oger, tmp_path) -> None:
    options = ("--benchmarks", "world:arithmetic/test", "--limit", 12, "--samples", 1, "--temperature", 0)
    assert oger("evaluate", OPEN, *options, "--max-tokens", 64, "--out", tmp_path / "whole").code == 0
    [table] = (tmp_path / "whole").glob("*/*/responses.parquet")
    right = [row for row in pq.read_table(table).to_pylist() if row["status"] == "correct"]
    longest = max(right, key=lambda row: row["num_tokens"])
    cut = ("--max-tokens", longest["num_tokens"] - 1)  # all but the end of sequence
    result = oger("evaluate", OPEN, *options, *cut, "--out", tmp_path / "cut")
    assert result.code == 0, result.err
    assert statuses(tmp_path / "cut")[longest["problem"]] == "unfinished"
    assert "although the text holds the right answer" in result.out


@pytest.mark.parametrize("more", [("--endpoint", "http://127.0.0.1:1/v1"), ()])
def test_another_word_is_refused_before_anything_is_drawn(oger, tmp_path, more) -> None:
    rows = rows_file(tmp_path / "mine.jsonl")
    given = ("--benchmarks", rows, "--unfinished", "grade", "--out", tmp_path / "ev")
    result = oger("evaluate", OPEN, *given, *more)
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "did you mean 'graded'" in result.err
    assert not (tmp_path / "ev").exists()
