"""A trainer used from Python leaves the run folder that the command leaves, and the commands work on it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

import oger
from oger import OGERConfig, OGERTrainer, RunFolder
from oger.cli.main import main
from oger.runs.metrics_log import read_metrics
from oger.terminal.errors import UserError
from oger.training.run.python_run import reward_name
from oger.verification import accuracy_reward
from oger.worlds import load_world
from tests.support.run_folders import comparable

WORLD = load_world("arithmetic")
STEPS = 4


def own_reward(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """Right where the last box holds the answer."""
    return [float(f"{{{gold}}}" in text) for text, gold in zip(completions, answer, strict=True)]


def options(**more: Any) -> OGERConfig:
    return OGERConfig(
        output_dir="elsewhere", max_steps=STEPS, num_generations=4, per_device_train_batch_size=16, seed=3,
        max_completion_length=64, learning_rate=3e-4, bf16=False, eval_strategy="steps", eval_steps=2, save_steps=2,
        num_generations_eval=1, report_to="none", **more,
    )  # fmt: skip


def rows(split: str, limit: int) -> Dataset:
    return Dataset.from_list(WORLD.rows(split, limit=limit))


def trainer(folder: RunFolder, model: Any = None, reward: Any = accuracy_reward, **more: Any) -> OGERTrainer:
    model = str(WORLD.base_policy()) if model is None else model
    return OGERTrainer(model, reward, options(), rows("train", 32), rows("validation", 8), run=folder, **more)


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("python") / "mine"
    folder = RunFolder(path, test={"id": WORLD.rows("test", limit=4)}, eval_samples=2, rollouts_every=2)
    trained = trainer(folder).train()
    assert trained.global_step == STEPS
    assert folder.summary is not None
    assert folder.summary["steps"] == STEPS
    return path


def test_the_folder_holds_what_a_run_of_the_command_holds(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {
        "config.yaml", "started.yaml", "environment.json", "data.json", "encoder.json", "metrics.jsonl", "rollouts",
        "histograms.jsonl", "probes", "checkpoints", "before.json", "model", "best", "summary.json", "sent_in",
    }  # fmt: skip
    assert [row["step"] for row in read_metrics(whole / "metrics.jsonl")] == [1, 2, 3, 4]
    assert "exp(-H_i)" in (whole / "model" / "README.md").read_text(), "the card knows the method by its options"
    summary = json.loads((whole / "summary.json").read_text())
    assert set(summary["change"]["id"]) == {"pass@1", "pass@8"}
    assert not Path("elsewhere").exists()


def test_report_and_evaluate_work_on_it(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("report", whole, "-o", tmp_path / "report.html") == 0
    assert "note" not in capsys.readouterr().err
    assert command("evaluate", whole, "--samples", 1) == 0
    assert "in distribution" in capsys.readouterr().out


class Stop(TrainerCallback):
    """Dies after the checkpoint of step 2."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 2:
            raise RuntimeError("the machine is gone")


def test_the_command_goes_on_with_a_run_that_died_and_ends_as_if_it_had_not(whole: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "mine", test={"id": WORLD.rows("test", limit=4)}, eval_samples=2, rollouts_every=2)
    with pytest.raises(RuntimeError, match="is gone"):
        trainer(folder, callbacks=[Stop()]).train()
    assert command("train", tmp_path / "mine" / "config.yaml", "--resume") == 0
    assert comparable(tmp_path / "mine") == comparable(whole)
    resumed, never = (load_file(run / "model" / "model.safetensors") for run in (tmp_path / "mine", whole))
    assert all(torch.equal(resumed[name], never[name]) for name in never)


def test_a_model_that_is_an_object_and_a_reward_of_ones_own_are_kept(tmp_path: Path) -> None:
    policy = str(WORLD.base_policy())
    model, tokenizer = AutoModelForCausalLM.from_pretrained(policy), AutoTokenizer.from_pretrained(policy)
    folder = RunFolder(tmp_path / "mine", rollouts_every=0)
    trainer(folder, model, own_reward, processing_class=tokenizer).train()
    assert command("evaluate", tmp_path / "mine", "--data", "world:arithmetic/test", "--limit", 2) == 0
    assert (tmp_path / "mine" / "sent_in" / "model" / "model.safetensors").is_file()
    assert "own_reward" in (tmp_path / "mine" / "config.yaml").read_text()


def test_a_folder_that_holds_a_run_is_refused_before_anything_is_loaded(whole: Path) -> None:
    with pytest.raises(FileExistsError, match="is not empty"):
        trainer(RunFolder(whole))


def test_what_no_recipe_can_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="top level of a file"):
        reward_name(lambda **_: [1.0])
    assert reward_name(accuracy_reward) == "accuracy"
    assert reward_name(own_reward).endswith("own_reward")
    assert not list(tmp_path.iterdir())


def test_the_signature_says_every_argument_and_its_type() -> None:
    parameters = inspect.signature(OGERTrainer.__init__).parameters
    assert not any(each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters.values())
    assert {"callbacks", "peft_config", "rollout_func", "run"} <= set(parameters)
    assert {"OGERTrainer", "OGERConfig", "RunFolder"} <= set(dir(oger))
    assert not {"Any", "TYPE_CHECKING", "import_module", "ModuleType"} & set(dir(oger))
