"""Every method trains: a few steps on real rows of the embedded world, from its recipe to its run folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from oger.recipes import load_recipe
from oger.recipes.methods import all_methods
from oger.runs.metrics_log import read_metrics
from oger.training.run.train import train_recipe
from oger.worlds import load_world


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in load_world("arithmetic").rows("train", limit=24)))
    return path


def overrides(rows: Path, method: str, folder: Path, steps: int) -> list[str]:
    return [
        f"method={method}", f"train={rows}", f"validation={rows}", "test={}", f"output_dir={folder}",
        f"max_steps={steps}", "save_steps=1", "eval_steps=1", "per_device_train_batch_size=8", "probe_prompts=0",
        "max_completion_length=48",
    ]  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("method", all_methods())
@pytest.mark.parametrize("steps", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_a_method_trains(rows: Path, tmp_path: Path, method: str, steps: int) -> None:
    run = tmp_path / "run"
    summary = train_recipe(load_recipe("smoke", overrides(rows, method, run, steps)), console=Console(quiet=True))
    assert summary["steps"] == steps
    before, after = weights(load_world("arithmetic").base_policy()), weights(run / "model")
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert any(not torch.equal(before[name], tensor) for name, tensor in after.items())
    metrics = read_metrics(run / "metrics.jsonl")
    recipe = load_recipe(run / "config.yaml")
    assert ("imitation/weight" in metrics[0]) == (recipe.training["imitation_weight"] > 0)
    assert ("reward/total" in metrics[0]) == (recipe.training["policy_weight"] > 0)
    assert (run / "first" / "summary.json").is_file() == (recipe.first is not None)


@pytest.mark.parametrize(("above", "needed"), [(0.0, True), (0.99, False)])
def test_a_first_stage_is_trained_only_where_the_policy_leaves_prompts_unsolved(
    rows: Path, tmp_path: Path, above: float, needed: bool
) -> None:
    options = [*overrides(rows, "oger_plus", tmp_path / "run", 1), f"first_above={above}"]
    train_recipe(load_recipe("smoke", options), console=Console(quiet=True))
    decision = json.loads((tmp_path / "run" / "warm_start.json").read_text())
    assert 0 < decision["unsolved_share"] <= 0.99
    assert (tmp_path / "run" / "first").is_dir() == needed
    baseline = [*overrides(rows, "oger_plus", tmp_path / "plain", 1), "first=null"]
    train_recipe(load_recipe("smoke", baseline), console=Console(quiet=True))
    same = all(torch.equal(t, weights(tmp_path / "run/model")[n]) for n, t in weights(tmp_path / "plain/model").items())
    assert same != needed, "the decision leaves no trace on the training itself"


@pytest.mark.soak  # seven starts of the command line
def test_rl_starts_from_the_best_policy_of_the_first_stage_and_survives_a_kill_in_either(
    rows: Path, tmp_path: Path
) -> None:
    def command(folder: Path, *extra: str) -> list[str]:
        options = overrides(rows, "sft_then_rl", folder, 3)
        return [sys.executable, "-m", "oger.cli.main", "train", "smoke", *options, *extra]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(whole), check=True, capture_output=True, timeout=300)
    extra: list[str] = []
    for stage in (killed / "first", killed):
        process = subprocess.Popen(command(killed, *extra), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not list((stage / "checkpoints").glob("checkpoint-*/trainer_state.json")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        extra = ["--resume"]
    if not (killed / "summary.json").is_file():
        subprocess.run(command(killed, "--resume"), check=True, capture_output=True, timeout=300)
    for folder in ("first/model", "first/best", "model"):
        one, two = weights(whole / folder), weights(killed / folder)
        assert all(torch.equal(one[name], two[name]) for name in one), folder
    assert not torch.equal(*(weights(whole / f)["model.embed_tokens.weight"] for f in ("first/best", "model")))
