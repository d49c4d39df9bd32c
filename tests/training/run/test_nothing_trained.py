"""`oger train` that could not train says so: exit status 2, one line, and no `model/`."""

from __future__ import annotations

from pathlib import Path

import pytest

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
