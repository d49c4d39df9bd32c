"""A run that ends by its tokens or seconds, also when it was killed before it could say so."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from oger.recipes import load_recipe
from oger.runs.metrics_log import read_metrics
from oger.training.run.budget import BudgetStop
from oger.training.run.train import train_recipe
from oger.training.run.warm_start import cost_before
from tests.support.tiny_study import write_data


def test_budget_counts_over_a_resume_and_stops_at_the_step_that_reaches_it() -> None:
    past = [{"step": 1, "completions/mean_length": 10.0, "time/step": 2.0}, {"step": 2, "time/step": 1.0}]
    budget = BudgetStop(200, None, 8, past)
    assert (budget.tokens, budget.seconds, budget.reached) == (80, 3.0, False)
    args = SimpleNamespace(save_strategy="steps", eval_strategy="no")
    control = SimpleNamespace(should_training_stop=False, should_save=False, should_evaluate=False)
    budget.on_log(args, None, control, {"eval_completions/mean_length": 99.0})
    assert not control.should_training_stop
    budget.on_log(args, None, control, {"completions/mean_length": 15.0, "time/step": 1.0})
    assert budget.tokens == 200
    assert (control.should_training_stop, control.should_save, control.should_evaluate) == (True, True, False)
    assert BudgetStop(None, 3.0, 8, past).reached
    assert not BudgetStop(None, None, 8, past).reached
    for before, reached in (((19, 0.5), False), ((20, 0.0), True), ((0, 1.0), True)):
        after = BudgetStop(100, 4.0, 8, past, before=before)
        assert (after.tokens, after.seconds, after.reached) == (80, 3.0, reached)


def test_what_the_stages_before_have_spent_is_not_spent_again(tmp_path: Path) -> None:
    write_data(tmp_path)
    options = [
        f"train={tmp_path}/train.jsonl", f"validation={tmp_path}/validation.jsonl", "test={}", "max_steps=50",
        "eval_steps=50", "save_steps=50", "per_device_train_batch_size=8", "rollouts_every=0", "method=oger_plus",
        'first={"method": "grpo", "max_steps": 2, "first_above": null}', "first_above=0.0", "max_generated_tokens=1",
        f"output_dir={tmp_path}/run",
    ]  # fmt: skip
    summary = train_recipe(load_recipe("smoke", options))
    assert summary["steps"] == 1, "the first stage spent the budget, and one step is always taken"
    first = json.loads((tmp_path / "run/first/summary.json").read_text())
    decision = json.loads((tmp_path / "run/warm_start.json").read_text())
    assert decision["generated_tokens"] > 8 * 4  # eight prompts, four rollouts each
    tokens, seconds = cost_before(tmp_path / "run")
    assert tokens == decision["generated_tokens"] + first["generated_tokens"] > decision["generated_tokens"]
    assert seconds == pytest.approx(decision["seconds"] + first["train_seconds"])


@pytest.mark.parametrize("limit", ["max_generated_tokens=250", "max_steps=2"])
def test_a_run_killed_after_its_last_step_takes_no_other(tmp_path: Path, limit: str) -> None:
    write_data(tmp_path)
    run = tmp_path / "run"
    options = [
        f"train={tmp_path}/train.jsonl", f"validation={tmp_path}/validation.jsonl", "test={}", f"output_dir={run}",
        "max_steps=50", "eval_steps=50", "save_steps=50", "per_device_train_batch_size=8", "rollouts_every=0", limit,
    ]  # fmt: skip
    summary = train_recipe(load_recipe("smoke", options))
    rows = read_metrics(run / "metrics.jsonl")
    tokens = [round(8 * row["completions/mean_length"]) for row in rows]
    assert summary["generated_tokens"] == sum(tokens)
    if limit.startswith("max_generated"):
        assert sum(tokens[:-1]) < 250 <= sum(tokens)
    assert "eval/outcome" in rows[-1]
    weights = load_file(run / "model" / "model.safetensors")
    (run / "summary.json").unlink()

    clocks: dict[str, object] = {"wall_seconds": 0, "parts": {}}
    again = train_recipe(load_recipe("smoke", options), resume=True)
    assert {**again, **clocks} == {**summary, **clocks}
    assert read_metrics(run / "metrics.jsonl") == rows
    resumed = load_file(run / "model" / "model.safetensors")
    assert all(torch.equal(resumed[name], weights[name]) for name in weights)
    assert json.loads((run / "summary.json").read_text())["steps"] == len(rows)
