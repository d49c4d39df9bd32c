"""A damaged row of stored results costs its own cell, and nothing else of a study."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.study.cell_folder import MARKDOWN
from oger.study.fields import StudyError
from oger.study.plan import load_study
from oger.study.report import write_tables
from oger.study.store import CURVES, OUTCOMES, RESULTS, ResultStore
from tests.support.tiny_study import write_study

CELLS = {
    "easy/base": ("base", "base", 0),
    "easy/grpo/seed-0": ("main", "grpo", 0),
    "easy/oger/seed-0": ("main", "oger", 0),
}
BAD = "easy/oger/seed-0"


def result_row(cell: str) -> dict[str, Any]:
    kind, method, seed = CELLS[cell]
    row = {"cell": cell, "identity": "0" * 16, "kind": kind, "regime": "easy", "method": method, "seed": seed,
           "tuned": "", "evaluation": "standard", "policy": "last", "split": "id", "source": "test.jsonl",
           "versions": json.dumps({"torch": "2"}), "machine": "2 x x86_64 cores", "commit": None, "date": "2026-11-30",
           "command": "oger compare", "settings": "{}", "stages": None, "pass_at": json.dumps({"1": 0.5, "2": 0.75}),
           "best_step": None}  # fmt: skip
    return {field.name: row.get(field.name, 2) for field in RESULTS}


def tables() -> dict[str, list[dict[str, Any]]]:
    results = [result_row(cell) for cell in CELLS]
    place = {"evaluation": "standard", "policy": "last", "split": "id"}
    outcomes = [
        {"cell": cell, **place, "problem": n, "family": "sum", "samples": 2, "correct": 1, "outcomes": "10",
         "blind": None, "distinct": 1, "strategies": None}
        for cell in CELLS for n in range(2)
    ]  # fmt: skip
    curves = [
        {"cell": cell, "step": step, "reward": 0.5, "generated_tokens": 10 * step, "seconds": 1.0}
        for cell in CELLS for step in (1, 2) if cell != "easy/base"
    ]  # fmt: skip
    return {"results": results, "outcomes": outcomes, "curves": curves}


def write(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in (("results", RESULTS), ("outcomes", OUTCOMES), ("curves", CURVES)):
        pq.write_table(pa.Table.from_pylist(rows[name], schema=schema), folder / f"{name}.parquet")


def test_whole_results_are_taken_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, tables())
    store = ResultStore(tmp_path)
    assert store.damaged == {}
    assert set(store.cells()) == set(CELLS)


DAMAGE = [
    ("results", "accuracy", float("nan"), "accuracy is not finite"),
    ("results", "accuracy", None, "accuracy is missing"),
    ("results", "settings", "{", "settings is not what is stored there"),
    ("results", "settings", "[" * 100_000, "settings is not"),
    ("results", "pass_at", '{"1": "x"}', "pass_at is not"),
    ("results", "stages", "[[1]]", "stages is not"),
    ("results", "problems", 0, "problems is below 1"),
    ("outcomes", "outcomes", "1x", "outcomes holds what is no outcome"),
    ("outcomes", "strategies", "null", "strategies is not"),
    ("outcomes", "problem", None, "problem is missing"),
    ("outcomes", "outcomes", "101", "outcomes are not as many as samples"),
    ("outcomes", "correct", -5, "correct is not the number of correct outcomes"),
    ("curves", "step", None, "step is missing"),
    ("curves", "seconds", float("inf"), "seconds is not finite"),
]


@pytest.mark.parametrize(("file", "column", "value", "why"), DAMAGE)
def test_a_damaged_row_costs_its_own_cell_and_the_page_says_so(
    tmp_path: Path, file: str, column: str, value: Any, why: str
) -> None:
    rows = tables()
    next(row for row in rows[file] if row["cell"] == BAD)[column] = value
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text('{"prompt": "1+1=?", "answer": "2"}\n')
    study = load_study(write_study(tmp_path))
    write(tmp_path / "out" / "results", rows)
    notes: list[str] = []
    write_tables(study, tmp_path / "out", note=notes.append)
    assert len(notes) == 1
    assert notes[0].startswith(f"{BAD} is left out: {tmp_path / 'out' / 'results' / file}.parquet row ")
    assert why in notes[0]
    page = (tmp_path / "out" / "results" / MARKDOWN).read_text()
    assert "grpo" in page
    store = ResultStore(tmp_path / "out" / "results")
    assert set(store.cells()) == set(CELLS) - {BAD}
    assert all(BAD not in table["cell"].to_pylist() for table in store.tables.values())


@pytest.mark.parametrize(("column", "value"), [("policy", "odd"), ("split", ""), ("cell", "easy/other/seed-0")])
def test_a_result_without_its_outcomes_counts_as_not_stored(tmp_path: Path, column: str, value: str) -> None:
    rows = tables()
    next(row for row in rows["outcomes"] if row["cell"] == BAD)[column] = value
    write(tmp_path, rows)
    said = "outcomes.parquet does not hold its 2 x 2 outcomes of standard, last, id"
    assert ResultStore(tmp_path).damaged == {BAD: said}


def test_a_result_that_is_stored_twice_counts_as_not_stored(tmp_path: Path) -> None:
    rows = tables()
    rows["results"].append(rows["results"][2])
    write(tmp_path, rows)
    assert ResultStore(tmp_path).damaged == {BAD: "results.parquet holds standard, last, id twice"}


def test_problems_without_a_family_are_in_no_family(tmp_path: Path) -> None:
    rows = tables()
    for place, row in enumerate(rows["outcomes"]):
        row["family"] = (None, "sum")[place % 2]
    assert "by family" not in page_of(tmp_path, rows)
    rows["outcomes"][0]["family"] = "product"
    lines = page_of(tmp_path, rows).splitlines()
    assert "| base | 50.0 | 50.0 |" in lines
    assert "| grpo | - | 50.0 |" in lines


def page_of(folder: Path, rows: dict[str, list[dict[str, Any]]]) -> str:
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text('{"prompt": "1+1=?", "answer": "2"}\n')
    write(folder / "out" / "results", rows)
    write_tables(load_study(write_study(folder)), folder / "out")
    return (folder / "out" / "results" / MARKDOWN).read_text()


@pytest.mark.parametrize("column", ["cell", "method", "settings"])
def test_a_text_that_is_no_utf_8_costs_its_own_cell(tmp_path: Path, column: str) -> None:
    rows = tables()
    rows["results"][2][column] = "needle"
    write(tmp_path, rows)
    path = tmp_path / "results.parquet"
    pq.write_table(pq.read_table(path), path, compression="none", use_dictionary=False, write_statistics=False)
    content = path.read_bytes()
    assert content.count(b"needle") == 1
    path.write_bytes(content.replace(b"needle", b"n\xff\xfedle"))
    store = ResultStore(tmp_path)
    assert len(store.damaged) == 1
    assert set(store.cells()) == set(CELLS) - {BAD}


def test_what_is_no_table_of_results_is_named(tmp_path: Path) -> None:
    write(tmp_path, tables())
    shutil.copy(tmp_path / "curves.parquet", tmp_path / "results.parquet")
    with pytest.raises(StudyError, match=r"results\.parquet holds no results of a study"):
        ResultStore(tmp_path)


@pytest.mark.parametrize("spared", [[], ["easy/base"], ["easy/base", "easy/grpo/seed-0"]])
def test_a_place_whose_methods_are_all_damaged_is_left_out(tmp_path: Path, spared: list[str]) -> None:
    rows = tables()
    for row in rows["results"]:
        if row["cell"] not in spared:
            row["accuracy"] = None
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text('{"prompt": "1+1=?", "answer": "2"}\n')
    study = load_study(write_study(tmp_path))
    write(tmp_path / "out" / "results", rows)
    notes: list[str] = []
    if spared:
        write_tables(study, tmp_path / "out", note=notes.append)
        assert ("| grpo |" in (tmp_path / "out" / "results" / MARKDOWN).read_text()) == (len(spared) == 2)
    else:
        with pytest.raises(StudyError, match="holds no results of"):
            write_tables(study, tmp_path / "out", note=notes.append)
    assert len(notes) == len(CELLS) - len(spared)
