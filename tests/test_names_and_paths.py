"""Names from files become folders, cells of tables and pages: none leaves its folder, its cell or its place."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from oger.evaluation.benchmark import BenchmarkError, find_benchmarks, read_benchmark
from oger.evaluation.job import folder_name
from oger.io.lines import LineFile, read_lines
from oger.io.rows import data_files, load_rows
from oger.io.whole import damage, remove_leftovers
from oger.recipes import load_recipe
from oger.recipes.recipe import make_recipe
from oger.reporting.report.run_folder import read_run
from oger.runs.lock import run_lock
from oger.runs.rollouts import cut_rollouts_after, read_rollouts
from oger.study.cells import tuning_cells
from oger.study.fields import StudyError
from oger.study.plan import make_study
from oger.training.loop.checkpoint import newest_whole
from oger.training.run.warm_start import first_recipe
from tests.support.planted import good_text, plain_row, prompt_of, run, write_jsonl

STUDY: dict[str, Any] = {
    "name": "tiny",
    "recipe": "smoke",
    "reference": "grpo",
    "budget": {"steps": 2},
    "seeds": [0],
    "regimes": {
        "easy": {"train": "world:arithmetic/train", "validation": "world:arithmetic/validation",
                 "test": {"id": "world:arithmetic/test"}}
    },
    "methods": {"grpo": {}},
}  # fmt: skip
NO_NAMES = [
    "../out",
    "..",
    ".",
    "/etc",
    "a/b",
    "a\\b",
    "",
    "x\n",
    "~",
    "a\x00b",
    "=1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\tx",
    "a b",
]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("where", ["name", "regimes", "methods", "test"])
def test_a_name_in_a_study_is_no_path_and_no_formula(where: str, name: str) -> None:
    study = copy.deepcopy(STUDY)
    if where == "name":
        study["name"] = name
    else:
        entries = study["regimes"]["easy"]["test"] if where == "test" else study[where]
        entries[name] = next(iter(entries.values()))
    with pytest.raises(StudyError, match="is no name"):
        make_study(study)


def test_a_tuned_value_that_is_a_path_stays_one_folder() -> None:
    values = ["../../../out", "..%2F..%2Fout", "/etc/out"]
    study = make_study({**STUDY, "tuning": {"key": "run_name", "values": values, "seeds": [1]}})
    names = [cell.name for cell in tuning_cells(study)]
    assert len(set(names)) == 3
    assert all(len(Path(name).parts) == 4 and ".." not in Path(name).parts for name in names)


@pytest.mark.parametrize("label", ["../../out", "/etc/out", "..", "a/../../b", "\x00"])
def test_the_label_of_a_policy_names_one_folder(label: str) -> None:
    name = folder_name(label)
    assert Path(name).name == name
    assert name != ".."


@pytest.mark.parametrize("name", ["...yaml", "world:arithmetic/../../out"])
def test_a_benchmark_whose_name_is_a_path_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("...yaml").write_text("source: world:arithmetic/test\ncolumns: {prompt: prompt, answer: answer}\n")
    with pytest.raises(BenchmarkError, match="cannot name a benchmark"):
        find_benchmarks([name])


def test_the_first_stage_stays_in_the_run_folder_whatever_its_keys_say(tmp_path: Path) -> None:
    first = "first={method: sft, output_dir: /tmp/elsewhere, max_steps: 1}"
    recipe = load_recipe("smoke", [first, f"output_dir={tmp_path / 'run'}"])
    assert first_recipe(recipe).output_dir == tmp_path / "run" / "first"


def test_a_method_is_a_name_and_no_file() -> None:
    with pytest.raises(ValueError, match="unknown method"):
        load_recipe("smoke", ["method=../../recipes/methods/grpo"])


def test_a_teachers_name_stays_in_its_cell_of_the_card(tmp_path: Path) -> None:
    name = "a | b <script>alert(1)</script> ![](http://host/seen) \x1b[31m"
    write_jsonl(tmp_path / "rows.jsonl", [plain_row(prompt_of(1), "3", good_text(1, "a"), name)])
    run(tmp_path / "table", f"mine=plain:{tmp_path / 'rows.jsonl'}")
    card = (tmp_path / "table" / "card.md").read_text()
    assert "a \\| b &lt;script>" in card
    for harmful in ("<script", "![](", "\x1b"):
        assert harmful not in card


def test_the_home_folder_is_meant_wherever_a_path_begins_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oger: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert load_recipe("smoke", ["output_dir=~/x"]).output_dir == tmp_path / "x"
    assert make_recipe({"model": "m", "train": "t", "output_dir": "~/y"}, name="r").output_dir == tmp_path / "y"
    write_jsonl(tmp_path / "rows.jsonl", [{"prompt": "1+1=?"}])
    assert load_rows("~/rows.jsonl") == [{"prompt": "1+1=?"}]
    done = oger("teachers", "curate", "--source=mine=plain:rows.jsonl", "--out=~/table", "--tokenizer", "~/none")
    assert str(tmp_path / "none") in done.err
    assert not (tmp_path / "~").exists()


def test_what_merely_looks_like_a_file_of_a_run_is_left_alone(tmp_path: Path) -> None:
    checkpoints, rollouts = tmp_path / "checkpoints", tmp_path / "rollouts"
    checkpoints.mkdir()
    rollouts.mkdir()
    (checkpoints / "checkpoint-7").write_text("a file")
    (checkpoints / "checkpoint-8").symlink_to(tmp_path)
    (rollouts / "step-abc.parquet").write_text("no step")
    os.mkfifo(rollouts / "step-000009.parquet")
    (tmp_path / ".mine.tmp").write_text("not of a process")
    (tmp_path / ".model.12.tmp").mkdir()
    (tmp_path / ".other.13.tmp").symlink_to(rollouts)
    assert newest_whole(checkpoints, print) is None
    cut_rollouts_after(tmp_path, 0)
    with pytest.raises(FileNotFoundError):
        read_rollouts(tmp_path)
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.tmp", "checkpoints", "rollouts"]
    assert len(list(checkpoints.iterdir())) == len(list(rollouts.iterdir())) == 2


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.with_name("kept"))])
def test_a_lock_is_never_a_link_a_pipe_or_a_folder(tmp_path: Path, make: Any) -> None:
    (tmp_path / "kept").write_text("content")
    make(tmp_path / "lock")
    with pytest.raises(ValueError, match="is there and is no file"), run_lock(tmp_path, print):
        pass
    assert (tmp_path / "kept").read_text() == "content"
    assert os.path.lexists(tmp_path / "lock")


def test_no_pipe_is_waited_for_where_a_file_is_read(tmp_path: Path) -> None:
    for name in ("rows.jsonl", "recipe.yaml", "oger_files.json", "config.yaml", "metrics.jsonl", "summary.json"):
        os.mkfifo(tmp_path / name)
    for read in (
        lambda: data_files(tmp_path / "rows.jsonl"),
        lambda: load_rows(str(tmp_path / "rows.jsonl")),
        lambda: load_recipe(tmp_path / "recipe.yaml"),
        lambda: read_benchmark(tmp_path / "recipe.yaml"),
        lambda: list(read_lines(tmp_path / "rows.jsonl")),
        lambda: LineFile(tmp_path / "rows.jsonl"),
        lambda: read_run(tmp_path, "run"),
    ):
        with pytest.raises(ValueError, match=r"."):
            read()
    assert "missing or unreadable" in str(damage(tmp_path))
