"""The profile of a run: two steps, a trace that a browser opens, a table of what takes longest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from rich.console import Console

from oger.training.metrics.profiling import LARGEST, Profile
from tests.support.trainers import make_trainer


def profiled(folder: Path, steps: int) -> Path:
    trainer = make_trainer(folder / "checkpoints", max_steps=steps, lean_generation=True)
    trainer.add_callback(Profile(folder, Console(quiet=True)))
    trainer.train()
    return folder / "profile"


def test_profile_holds_two_steps_their_stages_and_the_ten_largest_costs(tmp_path: Path) -> None:
    folder = profiled(tmp_path, steps=6)
    trace = json.loads(gzip.decompress((folder / "trace.json.gz").read_bytes()))
    steps = {e["name"] for e in trace["traceEvents"] if e.get("name", "").startswith("ProfilerStep")}
    assert steps == {"ProfilerStep#2", "ProfilerStep#3"}
    stages, operations = (folder / "costs.md").read_text().split("| operation ")
    assert all(f"| {stage} |" in stages for stage in ("generate", "score", "logprob"))
    rows = [line.split("|") for line in operations.splitlines() if line.startswith("| `")]
    assert len(rows) == LARGEST
    costs = [float(row[3]) for row in rows]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 0
    assert sum(float(row[4].strip(" %")) for row in rows) <= 100


@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.soak)])
def test_training_with_too_few_steps_ends_well(tmp_path: Path, steps: int) -> None:
    folder = profiled(tmp_path, steps=steps)
    assert (folder / "costs.md").is_file() == (steps == 3)
