"""`oger train` that could not train says so: exit status 2, one line, and no `model/`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger.worlds import load_world
from tests.support.processes import run

_REWARDS = """
import math

def broken(completions, **columns):
    return [math.nan] * len(completions)

def unsure(completions, **columns):
    return [None] * len(completions)
"""


def _ends(folder: Path, *options: str, fault: str | None = None) -> str:
    """The last line of a run that ended with status 2 and left no policy."""
    (folder / "mine.py").write_text(_REWARDS)
    status, output = run(folder / "log", folder / "run", "save_strategy=no", *options, fault=fault)
    assert status == 2, output
    assert not (folder / "run" / "model").exists()
    assert not (folder / "run" / "summary.json").exists()
    assert "everything is in" not in output
    assert "Traceback" not in output
    return output.strip().splitlines()[-1]


def test_a_reward_that_is_never_finite(tmp_path: Path) -> None:
    line = _ends(tmp_path, f"rewards=['{tmp_path}/mine.py:broken']", "max_steps=2")
    assert line.startswith("error: nothing was trained: in each of the 2 steps a number was not finite")


def test_a_learning_rate_that_the_schedule_makes_0(tmp_path: Path) -> None:
    schedule = ("lr_scheduler_type=cosine_with_restarts", "lr_scheduler_kwargs={num_cycles: .nan}")
    line = _ends(tmp_path, *schedule, "max_steps=2")
    assert line.startswith("error: nothing was trained: in each of the 2 steps the learning rate was 0")


def test_rollouts_none_of_which_can_be_judged(tmp_path: Path) -> None:
    line = _ends(tmp_path, f"rewards=['{tmp_path}/mine.py:unsure']", "max_steps=2")
    assert line.startswith("error: nothing was trained: not one rollout of the 2 steps could be judged")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "weights break at the end",
            "error: the training broke the policy: after step 2 its weights are not all finite",
        ),
        ("ends before the first step", "error: nothing was trained: the run ended before its first step"),
    ],
)
def test_weights_that_are_not_finite_and_no_step(tmp_path: Path, fault: str, message: str) -> None:
    assert _ends(tmp_path, "max_steps=2", fault=fault).startswith(message)


def broken_model(folder: Path) -> Path:
    """The base policy of the arithmetic world with a weight that is not a number."""
    base = load_world("arithmetic").base_policy()
    policy = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        next(policy.parameters())[3] = torch.nan
        policy.get_output_embeddings().weight[3] = torch.nan
    policy.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("lean", ["true", "false"])
def test_a_policy_from_which_nothing_can_be_drawn(tmp_path: Path, lean: str) -> None:
    broken = broken_model(tmp_path / "broken")
    line = _ends(tmp_path, f"model={broken}", f"lean_generation={lean}", "max_steps=2")
    assert line.startswith("error: the policy's logits are infinite or not numbers")


def test_such_a_policy_is_not_evaluated_either(oger, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "1+1=", "answer": "2"}\n')
    done = oger("evaluate", broken_model(tmp_path / "broken"), "--data", rows, "--max-tokens", 4)
    assert (done.code, done.err.count("Traceback")) == (2, 0)
    assert "error: the policy's logits are infinite or not numbers" in done.err
