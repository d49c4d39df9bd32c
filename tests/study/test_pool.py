"""Cells in processes of their own, and how they share the machine."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from oger.io.whole import write_json
from oger.study.cell_folder import SPEC, stored_specs
from oger.study.cells import main_cells
from oger.study.plan import make_study
from oger.study.pool import CellPool, available_cores
from oger.verification.pool.pool import WORKERS_VARIABLE, default_workers
from tests.support.tiny_study import document


def test_cells_at_once_get_no_more_threads_and_graders_than_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [cell, *_] = main_cells(make_study(document()), {})
    monkeypatch.setattr("oger.study.pool.available_cores", lambda: 12)
    pool = CellPool(tmp_path, 4, 0)
    pool.start(cell)
    try:
        process, deadline = psutil.Process(pool.running[0].process.pid), time.monotonic() + 60
        while WORKERS_VARIABLE not in (environment := process.environ()):  # empty until the program is loaded
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        pool.stop()
    assert pool.threads == 3
    assert {environment[name] for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}
    monkeypatch.setenv(WORKERS_VARIABLE, environment[WORKERS_VARIABLE])
    assert default_workers() == 3


def test_more_cells_than_cores_have_one_thread_each(tmp_path: Path) -> None:
    assert CellPool(tmp_path, available_cores() + 1, 0).threads == 1


def test_a_cell_that_failed_before_it_began_may_be_changed(tmp_path: Path) -> None:
    for name, begun in (("failed", None), ("half", "run/config.yaml"), ("done", "result.json")):
        folder = tmp_path / "easy" / name
        (folder / "run" / "first").mkdir(parents=True)
        write_json(folder / SPEC, {"identity": name, "settings": {}})
        if begun is not None:
            (folder / begun).touch()
    assert stored_specs(tmp_path) == {f"easy/{name}": (name, {}) for name in ("half", "done")}
