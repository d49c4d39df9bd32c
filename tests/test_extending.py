"""docs/architecture.md, "Where do I add ...": a reward, a method and a world in files of their own, in a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from oger.recipes import load_recipe
from oger.runs.metrics_log import read_metrics
from oger.runs.policy import locate_policy
from tests.support.command import Outcome, save_policy

REWARD = '''
import torch
from oger.rewards import RewardGroup, shaping_reward

@shaping_reward("varied")
def varied(group: RewardGroup) -> torch.Tensor:
    """Share of different characters in a row, on correct rows."""
    share = torch.tensor([len(set(text)) / max(len(text), 1) for text in group.texts])
    return share * (group.outcome == 1)
'''

WORLD = '''
from pathlib import Path

class Doubling:
    """n+n=?, answered by one teacher."""

    name = "doubling"
    splits = ("train",)
    max_completion_length = 12

    def rows(self, split, *, limit=None, seed=0):
        return self.raw_trajectories(split, limit=limit, seed=seed)

    def raw_trajectories(self, split, *, limit=None, seed=0):
        numbers = range(8 if limit is None else min(limit, 8))
        return [
            {
                "prompt": f"{n}+{n}=?", "answer": "abc"[n % 3], "kind": "exact",
                "teachers": [{"teacher": "t", "text": f"{n}+{n}={2 * n}", "verdict": "correct"}],
            }
            for n in numbers
        ]

    def base_policy(self):
        return Path("policy")
'''

OUTCOME = """
def contains_answer(completions, answer, **_):
    return [float(gold in completion) for completion, gold in zip(completions, answer)]
"""

METHOD = """
line: a row of the teacher in a fixed slot, and half a shaping reward
equation: A = R - mean R
source: this test
deviations: none
options: {preset: luffy_code, replacement: fixed_slot, teacher_rows: 1, shaping_rewards: {varied.py: 0.5}}
"""

RECIPE = """
method: mine.yaml
model: world:doubling.py:Doubling
train: world:doubling.py:Doubling/train
rewards: [outcome.py:contains_answer]
output_dir: run
num_generations: 4
per_device_train_batch_size: 8
gradient_accumulation_steps: 1
max_completion_length: 12
max_steps: 2
rollouts_every: 1
bf16: false
gradient_checkpointing: false
report_to: none
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {
        "varied.py": REWARD, "doubling.py": WORLD, "outcome.py": OUTCOME, "recipe.yaml": RECIPE,
        "mine.yaml": METHOD,
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    save_policy(tmp_path / "policy", 0)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_reward_a_method_and_a_world_in_files_of_their_own_are_trained_with(
    folder: Path, oger: Callable[..., Outcome]
) -> None:
    done = oger("train", "recipe.yaml")
    assert done.code == 0, done.err
    assert len(read_metrics(folder / "run" / "metrics.jsonl")) == 2
    rows = [row for file in (folder / "run" / "rollouts").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    online = [row for row in rows if row["origin"] == "online"]
    assert {row["prompt"] for row in rows} <= {f"{n}+{n}=?" for n in range(8)}
    assert {row["teacher"] for row in rows if row["origin"] == "teacher"} == {"t"}
    paid = [dict(row["shaping"])["varied"] for row in online if row["outcome"] == 1]
    assert paid
    assert max(paid) > 0
    assert all(dict(row["shaping"])["varied"] == 0 for row in online if row["outcome"] != 1)
    assert {row["row"] for row in rows if row["origin"] == "teacher"} == {3}  # the method's fixed slot
    (folder / "mine.yaml").unlink()
    assert load_recipe(folder / "run" / "config.yaml").training["replacement"] == "fixed_slot"


@pytest.mark.parametrize(("name", "text"), [("none.yaml", None), ("odd.yaml", "line: a\n"), ("list.yaml", "[1]\n")])
def test_a_method_file_that_is_none_is_refused_in_one_line(
    folder: Path, oger: Callable[..., Outcome], name: str, text: str | None
) -> None:
    if text is not None:
        (folder / name).write_text(text)
    done = oger("train", "recipe.yaml", f"method={name}")
    assert done.code == 2
    assert f"{name} is no method" in done.err
    assert not (folder / "run").exists()


def test_a_folder_that_names_a_world_of_somebodys_own_runs_none_of_its_code(folder: Path) -> None:
    run = folder / "run"
    save_policy(run / "model", 0)
    (run / "config.yaml").write_text("model: policy\ntrain: world:doubling.py:Doubling/train\noutput_dir: run\n")
    (folder / "doubling.py").write_text("raise SystemExit('this file ran')")
    assert locate_policy("run").world is None


def test_an_unknown_world_is_refused_with_the_nearest(folder: Path, oger: Callable[..., Outcome]) -> None:
    done = oger("train", "recipe.yaml", f"train={json.dumps('world:arithmetik/train')}")
    assert done.code == 2
    assert "arithmetic" in done.err
