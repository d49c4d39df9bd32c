"""A LoRA run is continued, evaluated, moved and merged; what cannot go together is refused before the training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from oger.cli.main import main
from oger.io.pretrained import adapter_base, is_adapter
from oger.recipes import load_recipe
from oger.runs.policy import load_policy, locate_target
from oger.training.run.train import train_recipe
from oger.worlds import load_world

SMALL = ["max_steps=1", "validation=null", "test={}", "rollouts_every=0", "probe_prompts=0", "num_generations=4"]
SMALL += ["per_device_train_batch_size=8", "max_completion_length=24", "train=world:arithmetic/validation"]
LORA = "peft={r: 2, target_modules: [q_proj], task_type: CAUSAL_LM}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/lora, one step on models/base, both named as from this folder."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(load_world("arithmetic").base_policy(), project / "models" / "base")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        run("lora", "model=models/base", LORA)
    return project


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def run(name: str, *overrides: str) -> Path:
    train_recipe(load_recipe("smoke", [*SMALL, *overrides, f"output_dir=runs/{name}"]))
    return Path("runs") / name


def weights(target: str) -> dict[str, torch.Tensor]:
    """Of the whole model that a target stands for."""
    model, _ = load_policy(locate_target(target))
    model = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    return {name: value.float() for name, value in model.state_dict().items()}


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_the_base_of_an_adapter_is_saved_from_the_root(project: Path) -> None:
    for folder in ("model", "checkpoints/checkpoint-1"):
        assert adapter_base(f"runs/lora/{folder}") == str(project / "models" / "base")


@pytest.mark.parametrize("source", ["runs/lora", "runs/lora@1", "runs/lora/checkpoints/checkpoint-1"])
def test_an_adapter_is_trained_on_with_peft(source: str) -> None:
    on = run(f"on-{source.replace('/', '-')}", f"model={source}", LORA)
    assert is_adapter(str(on / "model"))
    changed = moved(weights("runs/lora"), weights(str(on)))
    assert changed
    assert all("q_proj" in name for name in changed)


def test_without_peft_all_weights_of_the_merged_model_are_trained() -> None:
    full = run("full", "model=runs/lora")
    assert not is_adapter(str(full / "model"))
    assert {name.split(".")[-2] for name in moved(weights("runs/lora"), weights("runs/full"))} > {"q_proj", "v_proj"}


def test_a_two_stage_run_trains_one_adapter_in_both_stages(project: Path) -> None:
    two = run("two", "model=models/base", LORA, "first={max_steps: 1, learning_rate: 0.001}")
    assert is_adapter(str(two / "first" / "model"))
    assert adapter_base(str(two / "model")) == str(project / "models" / "base")
    assert moved(weights("runs/two/first"), weights("runs/two"))


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("{max_steps: 1, peft: {r: 4}}", LORA, "the first stage trains an adapter with r=4, and the recipe asks for 2"),
        ("{max_steps: 1, peft: null}", "peft={r: 0}", "peft: r=0 must be at least 1"),
    ],
)
def test_stages_that_do_not_fit_together_are_refused_before_the_first(first: str, second: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        run("unfit", "model=models/base", second, f"first={first}")
    assert not Path("runs/unfit/first").exists()
    shutil.rmtree("runs/unfit", ignore_errors=True)


def test_an_adapter_of_the_first_stage_is_merged_for_a_second_one_without_peft() -> None:
    two = run(
        "merged-between",
        "model=models/base",
        "first={max_steps: 1, learning_rate: 0.001, " + LORA.replace("=", ": ") + "}",
    )
    assert is_adapter(str(two / "first" / "model"))
    assert not is_adapter(str(two / "model"))
    assert {name.split(".")[-2] for name in moved(weights(f"{two}/first"), weights(str(two)))} > {"q_proj", "v_proj"}


def test_another_rank_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="has r=2, and the recipe asks for 4"):
        run("other", "model=runs/lora", LORA.replace("r: 2", "r: 4"))
    assert not Path("runs/other/checkpoints").exists()


def test_a_merged_model_is_the_same_policy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["merge", "runs/lora"])
    assert ended.value.code == 0
    assert "runs/lora/merged: runs/lora (last) merged into" in capsys.readouterr().out
    assert not is_adapter("runs/lora/merged")
    assert moved(weights("runs/lora"), weights("runs/lora/merged")) == set()
    for again in (["merge", "runs/lora"], ["merge", "models/base"]):
        with pytest.raises(SystemExit) as ended:
            main(again)
        assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "runs/lora/merged exists already" in said
    assert "is no adapter" in said


def test_a_moved_adapter_finds_its_moved_base(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = weights("runs/lora")
    new = tmp_path / "elsewhere"
    project.rename(new)
    try:
        monkeypatch.chdir(tmp_path)
        location = locate_target(str(new / "runs" / "lora"))
        assert location.base == str(new / "models" / "base")
        assert moved(before, weights(str(new / "runs" / "lora"))) == set()
        assert evaluated(new / "runs" / "lora") == 0
    finally:
        new.rename(project)


def evaluated(target: Any) -> Any:
    options = ["--data", "world:arithmetic/test", "--limit", "2", "--samples", "1", "--max-tokens", "4"]
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(target), *options])
    return ended.value.code


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        ("continued", ("model=runs/lora", LORA)),
        ("merged", ("model=runs/lora",)),
        ("behind", ("model=models/base", LORA, "first={max_steps: 1, peft: null}")),
        ("twice", ("model=runs/lora", LORA, "first={max_steps: 1}")),
    ],
)
def test_a_run_on_an_adapter_that_was_cut_ends_as_the_whole_one(name: str, overrides: tuple[str, ...]) -> None:
    """A run that continues another LoRA run, and one whose second stage alone, or both, train an adapter."""
    whole = run(name, *overrides, "max_steps=2", "save_steps=1", "keep_last=2", "learning_rate=0.001")
    cut = whole.with_name(f"{name}-cut")
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "model")
    shutil.rmtree(cut / "checkpoints" / "checkpoint-2")
    (cut / "summary.json").unlink()
    train_recipe(load_recipe(cut / "config.yaml"), resume=True)
    assert is_adapter(str(cut / "model")) is (LORA in overrides)
    before = [str(whole / "checkpoints" / "checkpoint-1"), str(whole)]
    assert moved(*map(weights, before)), "the second step moved something"
    assert moved(weights(str(whole)), weights(str(cut))) == set()


def test_an_adapter_behind_a_first_stage_of_all_weights_stands_on_that_stage() -> None:
    two = run("full-then-lora", "model=models/base", LORA, "first={max_steps: 1, peft: null, learning_rate: 0.001}")
    assert not is_adapter(str(two / "first" / "model"))
    assert adapter_base(str(two / "model")) == str((two / "first" / "model").absolute())
    changed = moved(weights(f"{two}/first"), weights(str(two)))
    assert changed
    assert all("q_proj" in name for name in changed)
    assert evaluated(two) == 0
