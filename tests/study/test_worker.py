"""One cell: trained, measured, stored, and gone on with where it was; then the tables of what is stored."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from oger.io.whole import write_json
from oger.study.cell_folder import SPEC, finished
from oger.study.cells import Cell, main_cells
from oger.study.fields import StudyError
from oger.study.plan import Study, make_study
from oger.study.report import write_tables
from oger.study.store import ResultStore
from oger.study.worker import work
from oger.terminal.errors import UserError
from tests.support.tiny_study import document, write_data

HOW = {"command": "oger compare study.yaml", "workers": 1, "threads": 1}


def prepare(cell: Cell, folder: Path, *, train: bool) -> Path:
    folder.mkdir(parents=True)
    spec = {name: getattr(cell, name) for name in ("identity", "recipe", "overrides", "measures", "encoder", "seed")}
    write_json(folder / SPEC, {**spec, "train": train, "settings": cell.settings})
    return folder


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study, list[tuple[Cell, Path]]]:
    """The untrained policy and a two-stage cell, both worked in this process."""
    folder = tmp_path_factory.mktemp("study")
    write_data(folder)
    regime = {name: str(folder / f"{name}.jsonl") for name in ("train", "validation")}
    methods: dict[str, Any] = {"sft_then_rl": {"set": {"first": {"method": "sft", "max_steps": 1}}}}
    evaluation = {"samples": 2, "wide": {"samples": 4, "limit": 3, "methods": ["sft_then_rl"]}}
    study = make_study(
        document(
            methods=methods,
            reference="sft_then_rl",
            evaluation=evaluation,
            regimes={"easy": {**regime, "test": {"id": str(folder / "test.jsonl")}}},
        )
    )
    cells = []
    for cell in main_cells(study, {}):
        place = prepare(cell, folder / "cells" / cell.name, train=cell.kind == "main")
        assert finished(place) is None
        work(place)
        assert finished(place) == cell.identity
        cells.append((cell, place))
    return folder, study, cells


def test_result_holds_every_policy_split_and_evaluation(done: tuple) -> None:
    [base, trained] = [json.loads((place / "result.json").read_text()) for _, place in done[2]]
    named = [(row["evaluation"], row["policy"], row["split"], row["problems"]) for row in trained["measures"]]
    assert named == [("standard", "last", "id", 8), ("standard", "best", "id", 8), ("wide", "last", "id", 3)]
    assert [row["policy"] for row in base["measures"]] == ["last", "last"]
    assert base["curve"] == []
    problems = json.loads((done[2][1][1] / "outcomes.json").read_text())
    assert all(len(row["blind"]) == len(row["outcomes"]) for row in problems)  # a box is asked for
    assert all((row["distinct"] > 0) == ("1" in row["outcomes"]) for row in problems)
    assert {row["strategies"] for row in problems} == {None}  # of a file, which has no world


def test_costs_of_the_stage_before_are_counted(done: tuple) -> None:
    _, place = done[2][1]
    result = json.loads((place / "result.json").read_text())
    stages = [json.loads((place / "run" / name / "summary.json").read_text()) for name in ("first", ".")]
    assert [stage["steps"] for stage in stages] == [1, 2]
    assert stages[0]["generated_tokens"] == 0 < stages[1]["generated_tokens"]
    assert result["train"]["steps"] == 3
    assert result["train"]["stages"] == [
        {name: stage[name] for name in ("steps", "generated_tokens")} for stage in stages
    ]
    assert result["train"]["train_seconds"] == pytest.approx(sum(stage["train_seconds"] for stage in stages))
    assert result["curve"][0]["seconds"] > stages[0]["train_seconds"]
    assert list((place / "run").rglob("checkpoints")) == []


def test_a_trained_cell_is_measured_again_and_not_trained(done: tuple) -> None:
    cell, place = done[2][1]
    model = place / "run" / "model" / "model.safetensors"
    before, started = model.stat().st_mtime_ns, time.time_ns()
    result = json.loads((place / "result.json").read_text())
    (place / "result.json").unlink()
    work(place)
    again = json.loads((place / "result.json").read_text())
    assert model.stat().st_mtime_ns == before < started
    assert again["measures"] == result["measures"]  # the same seed draws the same samples
    assert finished(place) == cell.identity


def test_a_policy_that_is_last_and_best_is_measured_once(done: tuple, tmp_path: Path) -> None:
    _, place = done[2][1]
    cell = shutil.copytree(place, tmp_path / "cell")
    (cell / "result.json").unlink()
    record = cell / "run" / "best" / "validation.json"
    write_json(record, {**json.loads(record.read_text()), "step": 2})
    (cell / "run" / "best" / "model.safetensors").unlink()  # so that it cannot be loaded
    work(cell)
    rows = {row["policy"]: row for row in json.loads((cell / "result.json").read_text())["measures"][:2]}
    assert {**rows["last"], "policy": "best"} == rows["best"]
    write_json(record, {**json.loads(record.read_text()), "step": 1})
    with pytest.raises(UserError, match="model"):
        work(cell)


def test_stored_cells_make_the_same_tables_each_time(done: tuple, tmp_path: Path) -> None:
    _, study, cells = done
    with pytest.raises(StudyError, match="holds no results"):
        write_tables(study, tmp_path)
    ResultStore(tmp_path / "results").add(cells[1:], HOW)
    ResultStore(tmp_path / "results").add(cells[:1], HOW)  # another session
    stored = ResultStore(tmp_path / "results").cells()
    assert stored == {cell.name: (cell.identity, cell.settings) for cell, _ in cells}
    half = tmp_path / "half" / "results"  # killed when outcomes were written and results were not
    ResultStore(half).add(cells, HOW)
    for name in ("results", "curves"):
        (half / f"{name}.parquet").unlink()
    ResultStore(half).add(cells, HOW)
    for name, table in ResultStore(tmp_path / "results").tables.items():
        assert ResultStore(half).tables[name].equals(table)
    written = write_tables(study, tmp_path)
    kept = {path.name: path.read_bytes() for path in written}
    assert {path.name: path.read_bytes() for path in write_tables(study, tmp_path)} == kept
    text = kept["leaderboard.md"].decode()
    assert "pass@k on 3 problems" in text
    assert "| base | - |" in text
    assert "k = 4" in text
