"""The examples run as they stand: the script, and the notebooks, whose committed outputs are those of their code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))


def kinds(notebook: Any) -> list[list[str]]:
    """Of each cell of code: what it put out, a stream or a value."""
    return [[out.get("name", out.output_type) for out in cell.outputs] for cell in notebook.cells if "outputs" in cell]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_puts_out(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    committed = nbformat.read(path, as_version=4)
    nbformat.validate(committed)
    ran = nbformat.read(path, as_version=4)
    NotebookClient(ran, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds(committed) == kinds(ran)
    assert sum(len(each) for each in kinds(ran)) >= 3
    for cell in committed.cells:
        for out in cell.get("outputs", []):
            assert out.get("name") != "stderr", "a warning was committed"
            assert str(Path.home()) not in str(out), "a path of this machine was committed"


def test_there_are_the_notebooks_that_the_pages_name() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["one_group_factor_by_factor", "your_reward_in_six_lines"]


def test_the_script_trains_a_model_of_its_own_with_teachers_and_a_reward_of_its_own(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "own_model.py", "--steps", "1", "--out", tmp_path / "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "trained on 128 teacher solutions" in done.stdout
    assert "'shaping/brief': " in done.stdout
    assert (tmp_path / "out" / "trained" / "model.safetensors").is_file()
