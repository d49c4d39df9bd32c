"""A killed and resumed run is the uninterrupted run: metrics, rollouts and weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger import OGERConfig, OGERTrainer
from oger.faults import RunFaultError
from oger.io.whole import MANIFEST, settle, write_manifest
from oger.training.loop import checkpoint as checkpoint_module
from oger.training.loop.checkpoint import newest_whole, save_policy
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

STEPS = 6


def run(folder: Path, *, resume: Path | None = None, **options: Any) -> tuple[list[dict[str, Any]], list[Any], Any]:
    """Trains to the end; returns metrics without times, stored rows, and the trainer. 3 steps are one epoch."""
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(
            **quiet_options(folder, **{"max_steps": STEPS, "save_strategy": "steps", "save_steps": 1, **options}),
        ),
        train_dataset=toy_dataset(12),
        processing_class=tiny_tokenizer(),
    )
    stored: list[Any] = []
    trainer.rollout_sinks.append(lambda step, rows: stored.extend(rows))
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    metrics = [
        {name: value for name, value in row.items() if "time" not in name and "per_second" not in name}
        for row in trainer.state.log_history
        if "loss" in row
    ]
    return metrics, stored, trainer


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of every step of one run, and its policy."""
    folder = tmp_path_factory.mktemp("saved")
    _, _, trainer = run(folder)
    save_policy(trainer, folder / "policy")
    return folder


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.soak),
        {"steps_per_generation": 4},
        pytest.param({"num_iterations": 2, "preset": "paper_text"}, marks=pytest.mark.soak),
    ],
    ids=["aligned", "two steps per rollout batch", "rollout batch reused"],
)
def test_resumed_run_equals_the_uninterrupted_one_from_every_step(tmp_path: Path, options: dict[str, Any]) -> None:
    metrics, stored, trainer = run(tmp_path, **options)
    assert [row["step"] for row in metrics] == list(range(1, STEPS + 1))
    for step in range(1, STEPS):
        resumed_metrics, resumed_stored, resumed = run(tmp_path, resume=tmp_path / f"checkpoint-{step}", **options)
        assert resumed_metrics == metrics, f"resumed after step {step}"
        assert resumed_stored == [row for row in stored if row["step"] > step], f"resumed after step {step}"
        for mine, whole in zip(resumed.model.parameters(), trainer.model.parameters(), strict=True):
            assert torch.equal(mine, whole), f"resumed after step {step}"


def test_two_runs_of_one_seed_are_the_same_run_and_another_seed_is_another(tmp_path: Path) -> None:
    first, second, other = run(tmp_path / "a"), run(tmp_path / "b"), run(tmp_path / "c", seed=7)
    assert first[0] == second[0]
    assert first[1] == second[1]
    assert first[1] != other[1]


def truncate(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("model.safetensors", truncate),
        ("optimizer.pt", truncate),
        ("oger_loop_state_0.pt", truncate),
        ("rng_state.pth", Path.unlink),
        ("oger_files.json", truncate),
    ],
)
def test_a_damaged_checkpoint_is_named_and_passed_over(saved: Path, tmp_path: Path, name: str, harm: Any) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-6"
    assert said == []
    harm(tmp_path / "checkpoint-6" / name)
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-5"
    [line] = said
    assert "checkpoint-6 is damaged" in line
    assert name in line


def of_step(checkpoint: Path, step: int, folder: Path) -> Path:
    """A checkpoint made to be one of another step."""
    copied = shutil.copytree(checkpoint, folder / f"checkpoint-{step}")
    state = json.loads((copied / "trainer_state.json").read_text())
    (copied / "trainer_state.json").write_text(json.dumps({**state, "global_step": step}))
    write_manifest(copied)
    return copied


@pytest.mark.parametrize("lacks", ["model.safetensors", "trainer_state.json", "oger_loop_state_0.pt"])
def test_a_folder_that_lacks_what_a_checkpoint_must_hold_is_none_whatever_its_manifest_says(
    saved: Path, tmp_path: Path, lacks: str
) -> None:
    shutil.copytree(saved / "checkpoint-2", tmp_path / "checkpoint-2")
    (of_step(saved / "checkpoint-2", 3, tmp_path) / lacks).unlink()
    write_manifest(tmp_path / "checkpoint-3")
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-2"
    name = "a file of weights" if lacks == "model.safetensors" else lacks
    assert said == [f"{tmp_path / 'checkpoint-3'} is damaged and passed over: {name} is missing"]


@pytest.mark.parametrize("zeroed", ["model.safetensors", "oger_loop_state_0.pt", "rng_state.pth"])
def test_zeroed_files_of_a_checkpoint_without_checksums_are_named(saved: Path, tmp_path: Path, zeroed: str) -> None:
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    manifest, path = tmp_path / "checkpoint-6" / MANIFEST, tmp_path / "checkpoint-6" / zeroed
    sizes = {name: size for name, (size, _) in json.loads(manifest.read_text()).items()}
    manifest.write_text(json.dumps(sizes))  # as an older version wrote it
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-6"
    path.write_bytes(bytes(path.stat().st_size))
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-5"
    assert said == [f"{path.parent} is damaged and passed over: {zeroed} is not what was written"]


def test_an_extra_checkpoint_of_another_step_is_passed_over(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved / "checkpoint-2", tmp_path / "checkpoint-2")
    shutil.copytree(saved / "checkpoint-2", tmp_path / "checkpoint-5")
    said: list[str] = []
    assert newest_whole(tmp_path, said.append) == tmp_path / "checkpoint-2"
    assert said == [f"{tmp_path / 'checkpoint-5'} is damaged and passed over: it is the checkpoint of step 2"]


def test_a_checkpoint_without_the_state_of_every_rank_is_not_kept(saved: Path, tmp_path: Path) -> None:
    _, _, trainer = run(tmp_path, max_steps=1)
    trainer.state.global_step = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_module, "_missing", lambda folder, processes: f"state of rank {processes}")
        with pytest.raises(RunFaultError, match="state of rank 1 is missing: do all ranks write to one file system"):
            trainer._save_checkpoint(trainer.model, None)
    assert newest_whole(tmp_path, pytest.fail) == tmp_path / "checkpoint-1"
    assert not (tmp_path / "checkpoint-2").exists()


def test_checkpoints_are_ordered_by_step_and_what_is_none_is_left_alone(saved: Path, tmp_path: Path) -> None:
    of_step(saved / "checkpoint-2", 10, tmp_path)
    of_step(saved / "checkpoint-1", 9, tmp_path)
    for name in ("checkpoint-best", "checkpoints", ".writing"):
        (tmp_path / name).mkdir()
    assert newest_whole(tmp_path, print) == tmp_path / "checkpoint-10"
    assert newest_whole(tmp_path / "nothing", print) is None


def test_old_checkpoints_go_by_step_not_by_a_clock_that_may_be_set_back(tmp_path: Path) -> None:
    _, _, trainer = run(tmp_path, save_total_limit=2)
    kept = {"checkpoint-5", "checkpoint-6"}
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == kept
    for path in tmp_path.glob("checkpoint-*"):
        os.utime(path, (4e9, 4e9))  # written, it seems, long after what follows
    trainer.state.global_step = 7
    trainer._save_checkpoint(trainer.model, None)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-7"}
    truncate(tmp_path / "checkpoint-7" / "model.safetensors")
    trainer.state.global_step = 8
    trainer._save_checkpoint(trainer.model, None)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-6", "checkpoint-8"}
    assert not list(tmp_path.glob(".*")), "nothing that is written beside its place stays there"


def test_a_saved_policy_loads_in_plain_transformers(saved: Path) -> None:
    for path in (saved / "checkpoint-6", saved / "policy"):
        policy = AutoModelForCausalLM.from_pretrained(path)
        state = load_file(saved / "checkpoint-6" / "model.safetensors")
        assert all(torch.equal(policy.state_dict()[name], state[name]) for name in state)
        assert AutoTokenizer.from_pretrained(path)("1+1").input_ids


def test_a_saved_adapter_loads_in_plain_peft(tmp_path: Path) -> None:
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, max_steps=1, save_strategy="steps", save_steps=1)),
        train_dataset=toy_dataset(12),
        processing_class=tiny_tokenizer(),
        peft_config=LoraConfig(r=2, target_modules=["q_proj"]),
    )
    trainer.train()
    save_policy(trainer, tmp_path / "policy")
    for path in (tmp_path / "checkpoint-1", tmp_path / "policy"):
        loaded = PeftModel.from_pretrained(tiny_policy(), path)
        mine = {name: value for name, value in trainer.model.state_dict().items() if "lora" in name}
        assert mine
        assert all(torch.equal(loaded.state_dict()[name], value) for name, value in mine.items())


def test_a_policy_is_replaced_whole_with_its_record(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "best"
    folder.mkdir()
    (folder / "left-over.safetensors").touch()
    _, _, trainer = run(tmp_path / "out", max_steps=1)
    save_policy(trainer, folder, {"step": 1})
    assert json.loads((folder / "validation.json").read_text()) == {"step": 1}
    assert not (folder / "left-over.safetensors").exists()
    os.rename(folder, tmp_path / ".best.old")  # as a kill between the two renames leaves it
    settle(folder)
    assert json.loads((folder / "validation.json").read_text()) == {"step": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"best", "out"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_refuses_the_tokenizer_leaves_the_policy_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, trainer = run(tmp_path / "out", max_steps=1)
    save_policy(trainer, tmp_path / "best", {"step": 1})
    tokenizer: Any = trainer.processing_class
    monkeypatch.setattr(tokenizer, "save_pretrained", lambda *_, **__: tokenizer.backend_tokenizer.save("/dev/full"))
    with pytest.raises(RunFaultError, match="No space left on device"):  # tokenizers' own exception is no OSError
        save_policy(trainer, tmp_path / "best", {"step": 2})
    assert json.loads((tmp_path / "best" / "validation.json").read_text()) == {"step": 1}
    assert {path.name for path in tmp_path.iterdir()} == {"best", "out"}


def test_resuming_without_the_loop_state_is_one_clear_error(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "checkpoint-3" / "oger_loop_state_0.pt").unlink()
    with pytest.raises(FileNotFoundError, match="as many processes"):
        run(tmp_path, resume=tmp_path / "checkpoint-3")


def test_resuming_with_fewer_processes_than_the_checkpoint_is_of_is_refused(tmp_path: Path) -> None:
    run(tmp_path, max_steps=1)
    path = tmp_path / "checkpoint-1" / "oger_loop_state_0.pt"
    torch.save({**torch.load(path, weights_only=True), "processes": 2}, path)  # as the first of two writes it
    with pytest.raises(ValueError, match="is of 2 processes, and this run has 1"):
        run(tmp_path, resume=tmp_path / "checkpoint-1")


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="needs a file that gives an I/O error, on Linux")
def test_a_checkpoint_that_cannot_be_read_is_neither_removed_nor_passed_over(saved: Path, tmp_path: Path) -> None:
    _, _, trainer = run(tmp_path, max_steps=1, save_total_limit=1)
    (tmp_path / "checkpoint-1" / MANIFEST).unlink()
    (tmp_path / "checkpoint-1" / MANIFEST).symlink_to("/proc/self/mem")  # whose first byte is like one on a bad disk
    with pytest.raises(OSError, match="Input/output error"):
        newest_whole(tmp_path, pytest.fail)
    trainer.state.global_step = 2
    trainer._save_checkpoint(trainer.model, None)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-1", "checkpoint-2"}
