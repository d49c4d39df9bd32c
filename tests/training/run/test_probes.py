"""Probes: the same prompts at every recorded step, and a training that does not notice them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate.utils import DistributedType
from datasets import Dataset
from rich.console import Console
from safetensors.torch import load_file

from oger.method.divergence import teacher_divergence
from oger.recipes import load_recipe
from oger.recipes.recipe import RecipeError
from oger.runs.metrics_log import read_metrics
from oger.runs.rollouts import PROBES, cut_rollouts_after, read_rollouts, write_rollouts
from oger.training.run.probes import _why_none, choose_probes, probe_callbacks
from oger.training.run.train import train_recipe
from oger.verification import verify
from oger.worlds import load_world

ROOT = Path(__file__).parents[3]
OPTIONS = ["max_steps=2", "rollouts_every=2", "validation=null", "test=null", "per_device_train_batch_size=8"]


def trained(folder: Path, *options: str) -> Path:
    train_recipe(load_recipe("smoke", [*OPTIONS, f"output_dir={folder}", *options]))
    return folder


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("probed") / "run", "probe_prompts=3")


def rows_of(run: Path, step: int | None = None) -> list[dict[str, Any]]:
    return read_rollouts(run, step, store=PROBES).to_pylist()


def test_the_training_is_the_same_with_and_without_probes(probed: Path, tmp_path: Path) -> None:
    plain = trained(tmp_path / "run", "probe_prompts=0")
    assert not (plain / "probes").exists()
    clocks = ("time", "per_second", "runtime")
    mine, theirs = (
        [{name: row[name] for name in row if not any(clock in name for clock in clocks)} for row in read_metrics(path)]
        for path in (probed / "metrics.jsonl", plain / "metrics.jsonl")
    )
    assert mine == theirs
    assert read_rollouts(probed).to_pylist() == read_rollouts(plain).to_pylist()
    weights = [load_file(run / "model" / "model.safetensors") for run in (probed, plain)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_every_recorded_step_holds_the_same_prompts_with_all_their_teachers(probed: Path) -> None:
    listed = {row["prompt"]: row["teachers"] for row in load_world("arithmetic").rows("train")}
    steps = {row["step"] for row in rows_of(probed)}
    assert steps == {0, 2}
    prompts = [{row["prompt"] for row in rows_of(probed, step)} for step in sorted(steps)]
    assert prompts[0] == prompts[1]
    assert len(prompts[0]) == 3
    for step in steps:
        for prompt in prompts[0]:
            rows = [row for row in rows_of(probed, step) if row["prompt"] == prompt]
            assert [row["origin"] for row in rows].count("online") == 4
            teachers = [row["text"] for row in rows if row["origin"] == "teacher"]
            assert teachers == [teacher["text"] for teacher in listed[prompt]]
            assert len(teachers) >= 2


def test_probes_are_graded_and_embedded(probed: Path) -> None:
    answers = {row["prompt"]: row for row in load_world("arithmetic").rows("train")}
    for row in rows_of(probed):
        problem = answers[row["prompt"]]
        if row["origin"] == "online":
            verdict = verify(problem["answer"], row["text"], kind=problem["kind"], metadata=problem["metadata"])
            assert row["outcome"] == verdict.outcome
    rows = [row for row in rows_of(probed, 2) if row["group"] == 0]
    online, teacher = (
        torch.tensor([row["vector"] for row in rows if row["origin"] == origin]) for origin in ("online", "teacher")
    )
    assert torch.allclose(torch.cat([online, teacher]).norm(dim=1), torch.ones(len(rows)), atol=1e-5)
    divergence = teacher_divergence(online, teacher, aggregation="mean", scale="one_minus_cosine")
    stored = torch.tensor([row["divergence"] for row in rows if row["origin"] == "online"])
    assert torch.allclose(stored, divergence, atol=1e-6)


@pytest.mark.parametrize("option", ["rollouts_every=0", "probe_prompts=0"])
def test_probes_that_are_not_asked_for_are_not_taken(option: str) -> None:
    no_trainer: Any = None
    assert probe_callbacks(load_recipe("smoke", [option]), no_trainer, Console()) == []


def test_a_cut_removes_the_later_probes_alone(tmp_path: Path) -> None:
    row = {"group": 0, "row": 0, "origin": "online", "prompt": "1", "text": "2", "truncated": False, "num_tokens": 1}
    for step in (0, 2, 4):
        write_rollouts(tmp_path, step, [{**row, "vector": [1.0, 0.0]}], store=PROBES)
        write_rollouts(tmp_path, step, [row])
    cut_rollouts_after(tmp_path, 2, store=PROBES)
    assert [row["step"] for row in rows_of(tmp_path)] == [0, 2]
    assert read_rollouts(tmp_path)["step"].to_pylist() == [0, 2, 4]
    with pytest.raises(ValueError, match="lacks: vector"):
        write_rollouts(tmp_path, 6, [row], store=PROBES)


def rows(*numbers: int, prompt: str | None = None) -> list[dict[str, Any]]:
    """A row for each number, with as many teachers."""
    return [
        {
            "prompt": prompt or f"p{index}",
            "teachers": [{"text": f"t{place}", "teacher": "a"} for place in range(number)],
        }
        for index, number in enumerate(numbers)
    ]


def test_prompts_with_two_teachers_come_first_and_the_seed_chooses() -> None:
    table = Dataset.from_list(rows(*[1] * 20, *[2] * 20, *[0] * 5))
    chosen = [[row["prompt"] for row in choose_probes(table, 4, seed)] for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert all(20 <= int(prompt[1:]) < 40 for prompts in chosen for prompt in prompts)
    everything = choose_probes(table, 100, 0)
    assert len(everything) == 40, "a prompt without teachers is no probe"
    assert [len(row["teachers"]) for row in everything] == [2] * 20 + [1] * 20


def test_a_prompt_is_chosen_once_and_a_repeated_text_is_one_teacher() -> None:
    assert len(choose_probes(Dataset.from_list(rows(2, 2, 2, prompt="same")), 4, 0)) == 1
    twice = {"prompt": "twice", "teachers": [{"text": "t", "teacher": name} for name in "ab"]}
    [first] = choose_probes(Dataset.from_list([*rows(2), *[twice] * 20]), 1, 0)
    assert first["prompt"] == "p0"


def test_a_table_without_teachers_gives_no_probes() -> None:
    assert choose_probes(Dataset.from_list([{"prompt": "p"}]), 4, 0) == []
    assert choose_probes(Dataset.from_list([*rows(2, 1)]), 0, 0) == []


@pytest.mark.parametrize("value", ["-1", "some", "1.5"])
def test_a_number_of_prompts_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(RecipeError, match="probe_prompts must be a whole number of at least 0"):
        load_recipe("smoke", [f"probe_prompts={value}"])


@pytest.mark.parametrize(
    ("kind", "use_vllm", "words"),
    [
        (DistributedType.NO, False, None),
        (DistributedType.MULTI_GPU, False, None),
        (DistributedType.FSDP, False, "holds the whole policy"),
        (DistributedType.DEEPSPEED, False, "holds the whole policy"),
        (DistributedType.NO, True, "vLLM"),
    ],
)
def test_probes_need_a_process_with_the_whole_policy(kind: Any, use_vllm: bool, words: str | None) -> None:
    trainer: Any = SimpleNamespace(accelerator=SimpleNamespace(distributed_type=kind), use_vllm=use_vllm)
    reason = _why_none(trainer)
    assert reason is None if words is None else words in str(reason)


@pytest.mark.soak
def test_of_two_processes_the_main_one_takes_the_probes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
    command += ["oger.cli.main", "train", "smoke", *OPTIONS, "ddp_backend=gloo", "use_cpu=true"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    for name, probes in (("with", 2), ("without", 0)):
        more = [f"probe_prompts={probes}", f"output_dir={tmp_path / name}"]
        done = subprocess.run([*command, *more], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-3000:]
    assert len({row["prompt"] for row in rows_of(tmp_path / "with", 2)}) == 2
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("with", "without")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
