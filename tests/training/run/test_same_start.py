"""A resumed run is the run that was started: recipe, processes and data, or it is refused by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from oger.recipes import load_recipe
from oger.recipes.recipe import Recipe, dump_recipe
from oger.runs.paths import STARTED
from oger.training.run.folder import check_folder, clear
from oger.training.run.rows import RunData, read_data
from oger.training.run.start import same_start
from oger.training.run.train import train_recipe

ROWS = [{"prompt": f"{n}+1=?", "answer": str(n + 1), "teachers": [f"\\boxed{{{n + 1}}}"]} for n in range(6)]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Of a run that was started with ROWS and killed at once."""
    write(tmp_path, ROWS)
    recipe = load_recipe("smoke", [f"train={tmp_path / 'train.jsonl'}", f"output_dir={tmp_path / 'run'}", "test=null"])
    recipe.output_dir.mkdir()
    dump_recipe(recipe, recipe.output_dir / "config.yaml")
    same_start(recipe.output_dir, recipe, read_data(recipe), {}, 1)
    return recipe


def write(folder: Path, rows: list[dict[str, object]]) -> None:
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[::-1], "6 rows then, 6 now"),
        (ROWS[:-1], "6 rows then, 5 now"),
        ([*ROWS[:-1], {**ROWS[-1], "answer": "8"}], "6 rows then, 6 now"),
        ([*ROWS[:-1], {**ROWS[-1], "teachers": []}], "6 rows then, 6 now"),
    ],
    ids=["reversed", "cut", "another answer", "another teacher"],
)
def test_other_training_data_are_refused(recipe: Recipe, tmp_path: Path, rows: list[dict], said: str) -> None:
    before = (recipe.output_dir / STARTED).read_bytes()
    write(tmp_path, rows)
    with pytest.raises(ValueError, match=rf"train: not the rows that the run was started with \({said}\)"):
        train_recipe(recipe, resume=True)
    assert (recipe.output_dir / STARTED).read_bytes() == before
    write(tmp_path, ROWS)
    same_start(recipe.output_dir, recipe, read_data(recipe), {}, 1)


def test_other_validation_and_test_data_are_refused(recipe: Recipe) -> None:
    data = read_data(recipe)
    with pytest.raises(ValueError, match="validation: not the rows"):
        same_start(recipe.output_dir, recipe, RunData(data.train, ROWS[:2]), {}, 1)
    with pytest.raises(ValueError, match=r"test\.id: not the rows .*none then"):
        same_start(recipe.output_dir, recipe, data, {"id": ROWS}, 1)


def test_another_number_of_processes_is_refused(recipe: Recipe) -> None:
    with pytest.raises(ValueError, match="started with 1 processes, and this is a run of 2"):
        same_start(recipe.output_dir, recipe, read_data(recipe), {}, 2)


def test_an_edited_configuration_is_refused_and_what_may_change_is_not(recipe: Recipe) -> None:
    config = recipe.output_dir / "config.yaml"
    for key, value in (("learning_rate", "0.5"), ("train", "world:arithmetic/train"), ("teachers", "1")):
        dump_recipe(load_recipe(config, [f"{key}={value}"]), config)
        with pytest.raises(ValueError, match=rf"{key}: changed in .*config\.yaml since the run was started"):
            train_recipe(load_recipe(config), resume=True)
        dump_recipe(recipe, config)
    write(config.parents[1], ROWS[:-1])  # refused for its data: it came so far
    dump_recipe(load_recipe(config, ["length_chunks=2"]), config)
    with pytest.raises(ValueError, match="train: not the rows"):
        train_recipe(load_recipe(config), resume=True)


@pytest.mark.parametrize("content", ["", "null", "[]", "recipe: 1", "recipe: {}\nprocesses: [1]\ndata: {}"])
def test_a_damaged_record_of_the_start_is_named(recipe: Recipe, content: str) -> None:
    (recipe.output_dir / STARTED).write_text(content)
    with pytest.raises(ValueError, match=r"started\.yaml is damaged"):
        train_recipe(recipe, resume=True)


def test_a_record_of_the_start_that_is_a_pipe_is_refused_and_not_replaced(recipe: Recipe) -> None:
    (recipe.output_dir / STARTED).unlink()
    os.mkfifo(recipe.output_dir / STARTED)
    with pytest.raises(ValueError, match=r"started\.yaml is no regular file"):
        train_recipe(recipe, resume=True)
    assert (recipe.output_dir / STARTED).is_fifo()


def test_a_run_of_an_older_version_is_resumed_and_compared_from_then_on(recipe: Recipe) -> None:
    (recipe.output_dir / STARTED).unlink()
    same_start(recipe.output_dir, recipe, read_data(recipe), {}, 1)
    assert (recipe.output_dir / STARTED).is_file()


def begun(run: Path, recipe: Recipe) -> None:
    """As a kill before the first step may leave a folder."""
    for name in ("environment.json", "encoder.json", ".config.yaml.12.tmp", "lock"):
        (run / name).write_text("{}")
    (run / "checkpoints" / ".writing" / "checkpoint-1").mkdir(parents=True)
    (run / ".model.12.tmp").mkdir()


def test_what_a_start_left_before_its_first_step_is_in_no_ones_way(recipe: Recipe) -> None:
    run = recipe.output_dir
    begun(run, recipe)
    check_folder(run, recipe, resume=False)
    check_folder(run, recipe, resume=True)
    clear(run)
    assert [path.name for path in run.iterdir()] == ["lock"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "notes.txt", "checkpoints/checkpoint-1", "before.json", ".mine.tmp"])
def test_a_folder_with_anything_else_in_it_is_not_cleared(recipe: Recipe, name: str) -> None:
    run = recipe.output_dir
    begun(run, recipe)
    (run / name).touch()
    (run / "checkpoints" / ".README.md.12.tmp").touch()
    (run / "rollouts").mkdir()
    (run / "rollouts" / ".step-000001.parquet.12.tmp").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        check_folder(run, recipe, resume=False)
    clear(run)
    left = {path.relative_to(run).as_posix() for path in run.rglob("*")}
    assert {name, "config.yaml", "started.yaml", "environment.json", "encoder.json"} <= left
    assert not {path for path in left if path.endswith(".12.tmp") or "/.writing" in path}


def test_files_of_the_users_own_that_are_named_like_a_runs_are_not_taken_for_them(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("mine: 1")
    recipe = load_recipe("smoke", [f"output_dir={tmp_path}"])
    with pytest.raises(FileExistsError, match="not empty"):
        check_folder(tmp_path, recipe, resume=False)
    clear(tmp_path)
    assert (tmp_path / "config.yaml").read_text() == "mine: 1"
