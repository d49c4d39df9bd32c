"""The paths of a saved recipe hold from every folder, and after the run has moved with its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from oger.io.rows import load_rows, world_name
from oger.recipes.paths import absolute_paths, moved_paths
from oger.recipes.recipe import dump_recipe, load_recipe, make_recipe

WORLD = """
class MyWorld:
    max_completion_length = 8
    def rows(self, split, *, limit=None, seed=0):
        return [{"prompt": split, "answer": "1"}]
    def raw_trajectories(self, split, *, limit=None, seed=0):
        return self.rows(split)
    def base_policy(self):
        raise AssertionError
"""
KEYS = {
    "model": "models/base",
    "train": "data/train.jsonl",
    "validation": "world:my_world.py:MyWorld/validation",
    "test": {"hub": "openai/gsm8k:test", "mine": "data/test.jsonl", "world": "world:arithmetic/test"},
    "rewards": ["my_reward.py:outcome", "accuracy"],
    "encoder": "sentence-transformers:models/encoder",
    "rollouts": "replay:runs/other",
    "first": {"model": "Qwen/Qwen2", "train": "data/train.jsonl"},
    "output_dir": "runs/mine",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    for folder in ("models/base", "models/encoder", "data", "runs/other", "runs/mine"):
        (project / folder).mkdir(parents=True)
    for name in ("train", "test"):
        (project / "data" / f"{name}.jsonl").write_text('{"prompt": "a", "answer": 1}\n')
    (project / "my_world.py").write_text(WORLD)
    (project / "my_reward.py").write_text("def outcome(completions, **_):\n    return [0.0 for _ in completions]\n")
    monkeypatch.chdir(project)
    return project


def test_what_is_there_becomes_absolute_and_the_rest_stays(project: Path) -> None:
    assert absolute_paths(KEYS) == {
        "model": f"{project}/models/base",
        "train": f"{project}/data/train.jsonl",
        "validation": f"world:{project}/my_world.py:MyWorld/validation",
        "test": {
            "hub": "openai/gsm8k:test",
            "mine": f"{project}/data/test.jsonl",
            "world": "world:arithmetic/test",
        },
        "rewards": [f"{project}/my_reward.py:outcome", "accuracy"],
        "encoder": f"sentence-transformers:{project}/models/encoder",
        "rollouts": f"replay:{project}/runs/other",
        "first": {"model": "Qwen/Qwen2", "train": f"{project}/data/train.jsonl"},
        "output_dir": f"{project}/runs/mine",
    }


def test_a_run_that_moved_with_its_data_finds_them(project: Path) -> None:
    saved = absolute_paths(KEYS)
    new = project.with_name("elsewhere")
    project.rename(new)
    moved = moved_paths(saved, str(new / "runs" / "mine"))
    assert moved == {
        "model": f"{new}/models/base",
        "train": f"{new}/data/train.jsonl",
        "validation": f"world:{new}/my_world.py:MyWorld/validation",
        "test": {**saved["test"], "mine": f"{new}/data/test.jsonl"},
        "rewards": [f"{new}/my_reward.py:outcome", "accuracy"],
        "encoder": f"sentence-transformers:{new}/models/encoder",
        "rollouts": f"replay:{new}/runs/other",
        "first": {"model": "Qwen/Qwen2", "train": f"{new}/data/train.jsonl"},
        "output_dir": f"{new}/runs/mine",
    }


def test_a_run_that_moved_alone_still_finds_its_data(project: Path, tmp_path: Path) -> None:
    saved = absolute_paths(KEYS)
    (project / "runs" / "mine").rename(tmp_path / "mine")
    moved = moved_paths(saved, str(tmp_path / "mine"))
    assert moved == {**saved, "output_dir": str(tmp_path / "mine")}


def test_the_saved_recipe_of_a_run_is_read_as_it_holds_there(project: Path) -> None:
    recipe = make_recipe({key: KEYS[key] for key in ("model", "train", "test", "output_dir")}, name="mine")
    saved = make_recipe(absolute_paths(recipe.document), name="mine")
    dump_recipe(saved, project / "runs/mine/config.yaml")
    (project / "runs/mine/environment.json").write_text("{}")
    new = project.with_name("elsewhere")
    project.rename(new)
    found = load_recipe(new / "runs/mine/config.yaml")
    assert (found.train, found.output_dir) == (f"{new}/data/train.jsonl", new / "runs/mine")


def test_a_world_in_a_file_may_be_named_from_the_root(project: Path) -> None:
    source = f"world:{project}/my_world.py:MyWorld/train"
    assert world_name(source) == f"{project}/my_world.py:MyWorld"
    assert load_rows(source) == [{"prompt": "train", "answer": "1"}]
