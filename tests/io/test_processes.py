"""No process of this package imports what lies in the working folder."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import oger
from oger.evaluation.backends.base import SamplingSettings
from oger.evaluation.backends.processes import GeneratorProcesses
from oger.io.processes import leave_working_folder, worker_environment
from oger.study.cell_folder import LOG, SPEC
from oger.study.cells import main_cells
from oger.study.plan import make_study
from oger.study.pool import CellPool
from oger.teachers.curate.workers import Workers
from oger.verification import close_pools, verify_many
from tests.support.tiny_study import document

SHADOWED = (
    "contextlib", "json", "pickle", "typing", "threading", "signal", "subprocess", "struct", "tokenize", "warnings",
    "multiprocessing", "resource", "numpy", "pyarrow", "sympy", "math_verify", "torch", "transformers", "regex",
)  # fmt: skip
"""Modules that workers import, of the standard library and of others."""


STARTS = (
    r"(subprocess|webbrowser)\.\w+|os\.(exec|spawn|posix_spawn|fork)\w*"
    r"|([\w.]+\.)?(get_context|\w*ProcessPoolExecutor|Process)"
)
"""Calls that start a process."""


@pytest.fixture
def trapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which the name of every module above does harm; the file of what was run."""
    folder, marker = tmp_path / "data", tmp_path / "executed"
    folder.mkdir()
    for name in SHADOWED:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(folder)
    return marker


def test_the_traps_work(trapped: Path) -> None:
    subprocess.run([sys.executable, "-c", "import contextlib"], check=False, capture_output=True)
    assert "contextlib" in trapped.read_text()


def test_workers_of_a_curation_run_nothing_of_it(trapped: Path) -> None:
    with Workers(2, os.getpid) as workers:
        assert list(workers.map(abs, [-1, -2])) == [1, 2]
    assert not trapped.exists()


def test_workers_of_the_verifier_run_nothing_of_it(trapped: Path) -> None:
    close_pools()  # so that a worker starts here
    [verdict] = verify_many([r"\frac{1}{2}"], [r"\boxed{\frac{2}{4}}"], workers=1)
    close_pools()
    assert verdict.status == "correct"
    assert not trapped.exists()


def test_processes_of_an_evaluation_run_nothing_of_it(trapped: Path) -> None:
    with GeneratorProcesses(dict, 1) as processes, pytest.raises(ValueError, match="ended by itself"):
        list(processes.draw([[]], SamplingSettings(1.0, 1.0, 1, 0)))
    assert not trapped.exists()


def test_cells_of_a_study_run_nothing_of_it(trapped: Path, tmp_path: Path) -> None:
    [cell, *_] = main_cells(make_study(document()), {})
    pool = CellPool(tmp_path / "cells", 1, 0)
    pool.start(cell)
    folder = pool.running[0].folder
    (folder / SPEC).unlink()  # so that it ends with what it imported to begin
    pool.running[0].process.wait(120)
    pool.stop()
    assert not trapped.exists(), (folder / LOG).read_text()


@pytest.mark.parametrize("arguments", [["version"], ["recipes"]])
def test_the_command_itself_runs_nothing_of_it(trapped: Path, arguments: list[str]) -> None:
    command = Path(sys.executable).with_name("oger")
    done = subprocess.run([command, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not trapped.exists()


def test_as_a_module_the_command_runs_no_more_than_python_itself(trapped: Path) -> None:
    for name in ("contextlib", "typing", "warnings"):  # which Python itself and the first lines of the package import
        (trapped.parent / "data" / f"{name}.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "oger", "version"], check=False, capture_output=True, text=True,
        env={**os.environ, "PYTHONSAFEPATH": "", "PYTHONPATH": str(Path(oger.__file__).parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not trapped.exists()


def test_as_a_module_the_command_leaves_the_working_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setattr(sys, "path", [os.getcwd(), "/elsewhere"])
    monkeypatch.setenv("PATH", f":.:bin:{os.environ['PATH']}:")
    programs = os.environ["PATH"]
    leave_working_folder()
    assert (sys.path, os.environ["PYTHONSAFEPATH"]) == (["/elsewhere"], "1")
    assert os.environ["PATH"] == programs.removeprefix(":.:bin:").removesuffix(":")
    leave_working_folder()
    assert sys.path == ["/elsewhere"]


@pytest.mark.parametrize("entry", ["", "HERE"])
def test_a_script_in_the_working_folder_finds_its_modules_behind_all_others(
    entry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry.replace("HERE", os.getcwd()), "/elsewhere"])
    assert worker_environment()["PYTHONPATH"] == f"/elsewhere{os.pathsep}{os.getcwd()}"
    monkeypatch.setattr(sys, "path", ["/elsewhere"])
    assert worker_environment()["PYTHONPATH"] == "/elsewhere"


def test_every_start_of_a_process_is_one_of_these() -> None:
    source = Path(oger.__file__).parent
    starts = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(STARTS, name):
                starts.add((path.relative_to(source).as_posix(), name))
                first = ast.unparse(node.args[0]) if isinstance(node, ast.Call) and node.args else ""
                assert name != "subprocess.Popen" or first.startswith("python_module("), path
    assert starts == {
        ("runs/commit.py", "subprocess.run"),  # tests/runs/test_commit.py
        ("verification/pool/process.py", "subprocess.Popen"),
        ("evaluation/backends/processes.py", "subprocess.Popen"),
        ("study/pool.py", "subprocess.Popen"),
        ("teachers/curate/workers.py", "get_context"),
        ("teachers/curate/workers.py", "ProcessPoolExecutor"),
    }
