"""The real vLLM generates for training runs on a CPU; `make vllm` sets up an environment for it and runs this.

What a CPU lacks is replaced in `tests.support.vllm_cpu` and nowhere else.
"""

from __future__ import annotations

import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from oger.recipes.recipe import load_recipe
from oger.runs.metrics_log import read_metrics
from oger.runs.rollouts import read_rollouts
from oger.training.loop.checkpoint import newest_whole
from oger.training.run.build import build_trainer
from oger.worlds import load_world
from tests.support import processes, vllm_cpu
from tests.support.run_folders import comparable

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: run `make vllm`"),
]

ROWS, G = 16, 4
LENGTH = 256  # the context of the embedded policy
COLOCATED = ["use_vllm=true", "vllm_mode=colocate", f"vllm_max_model_length={LENGTH}"]
GUIDED = ["guided_prompts=always", "guided_share=0.5", "guided_rows=2"]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An engine takes its time to start, and a colocated one leaves its rank in the environment."""
    monkeypatch.setattr(processes, "DEADLINE_S", 1800.0)
    with mock.patch.dict(os.environ):
        yield


class Watched:
    """What the engine of a trainer is asked and answers."""

    def __init__(self, trainer: Any) -> None:
        self.syncs: list[int] = []
        self.calls: list[tuple[int, list[list[int]], list[list[int]], int]] = []
        """(optimiser steps taken, what each row is continued from, the continuations, rollouts per prompt)"""
        engine = trainer.vllm_generation
        generate, sync = engine.generate, engine.sync_weights

        def watched_generate(prompts: Any, images: Any, num_generations: int, **options: Any) -> Any:
            answer = generate(prompts, images, num_generations, **options)
            self.calls.append((trainer.state.global_step, prompts, answer[1], num_generations))
            return answer

        def watched_sync() -> None:
            self.syncs.append(trainer.state.global_step)
            sync()

        engine.generate, engine.sync_weights = watched_generate, watched_sync


def test_a_colocated_engine_writes_online_and_guided_rows_and_follows_every_update(tmp_path: Path) -> None:
    vllm_cpu.colocate()
    options = [f"train={write_rows(tmp_path)}", f"output_dir={tmp_path / 'run'}", "validation=null", "test=null",
               "max_steps=3", "learning_rate=0.003", *COLOCATED, *GUIDED]  # fmt: skip
    trainer = build_trainer(load_recipe("smoke", options))
    prompts = [trainer._tokenizer(row["prompt"])["input_ids"] for row in processes.rows()[::4]]
    untrained = greedy_of_transformers(trainer, prompts)
    assert agreement(greedy_of_engine(trainer, prompts), untrained) >= 0.75

    watched, batches, outputs = Watched(trainer), [], []
    trainer.batch_sinks.append(lambda step, batch: batches.append(batch))
    produce = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: outputs.append(produce(inputs)) or outputs[-1]
    trainer.train()

    assert watched.syncs == [0, 1, 2]
    assert [(step, len(asked)) for step, asked, _, _ in watched.calls] == [(step, ROWS) for step in range(3)]
    guided = 0
    for (_, asked, answered, per_prompt), batch, output in zip(watched.calls, batches, outputs, strict=True):
        offline_N, ratio_NT = batch.tensors.offline_N, output["importance_sampling_ratio"]
        given_N = batch.rollouts.given_N.tolist()
        alone = sum(not any(given_N[first : first + G]) for first in range(0, ROWS, G))
        assert int(offline_N.sum()) == alone  # a guided group has its teacher in the guidance
        assert (ratio_NT[offline_N] == 1).all()
        assert (ratio_NT[~offline_N] != 1).any()
        assert per_prompt == (1 if any(given_N) else G)
        for row, ids in enumerate(asked):
            prompt = batch.rollouts.prompt_ids[row]
            assert ids[: len(prompt)] == prompt
            given = ids[len(prompt) :]
            assert len(given) == given_N[row]
            whole = [*given, *answered[row]][: trainer.max_completion_length]
            assert batch.rollouts.completion_ids[row] == whole
        guided += sum(count > 0 for count in given_N)
    assert 0 < guided < 3 * ROWS

    mismatch = [row["sampling/logp_difference"] for row in trainer.state.log_history if "loss" in row]
    assert len(mismatch) == 3
    assert all(0 < value < 0.05 for value in mismatch), mismatch
    trainer.vllm_generation.sync_weights()
    trained = greedy_of_transformers(trainer, prompts)
    followed, stale = (agreement(greedy_of_engine(trainer, prompts), texts) for texts in (trained, untrained))
    print(f"mismatch {mismatch}, guided rows {guided}, greedy texts as trained {followed}, as untrained {stale}")
    assert followed >= 0.75
    assert stale < followed


def test_a_killed_run_with_its_engine_goes_on_as_if_it_never_was(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    engine = "engine on a CPU"
    status, output = processes.run(tmp_path / "log", whole, *COLOCATED, fault=engine)
    assert status == 0, output
    process = processes.start(tmp_path / "log", killed, *COLOCATED, fault=engine)
    processes.wait_for_step(process, killed, 3)
    process.kill()
    assert processes.finish(process) == -signal.SIGKILL
    status, output = processes.run(tmp_path / "log", killed, *COLOCATED, "--resume", fault=engine)
    assert status == 0, output
    assert "resuming after step 2" in output
    assert comparable(killed) == comparable(whole)
    assert read_rollouts(killed).to_pylist() == read_rollouts(whole).to_pylist()


def test_a_server_generates_and_its_death_is_one_line(tmp_path: Path) -> None:
    policy, run = load_world("arithmetic").base_policy(), tmp_path / "run"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(policy), "--host",
               "127.0.0.1", "--port", str(port), "--enforce-eager", "--max-model-len", str(LENGTH),
               "--weight-transfer-config", json.dumps({"backend": "nccl"}), "--logprobs-mode",
               "processed_logprobs", "--max-logprobs", "-1"]  # fmt: skip
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
    with open(tmp_path / "server.log", "w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    options = ["use_vllm=true", "vllm_mode=server", f"vllm_server_base_url={url}"]
    try:
        wait_for_health(server, url, tmp_path / "server.log")
        status, output = processes.run(tmp_path / "log", run, *options)
        assert status == 2
        assert "cannot start vLLM: Weight synchronization runs on vLLM's NCCL" in output
        assert "Traceback" not in output
        process = processes.start(tmp_path / "log", run, *options, fault="server on a CPU")
        processes.wait_for_step(process, run, 3)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
    assert processes.finish(process) == 2
    output = (tmp_path / "log").read_text()
    assert f"the vLLM server at {url} does not answer in step" in output
    assert "Traceback" not in output
    assert newest_whole(run / "checkpoints", print) == run / "checkpoints/checkpoint-4"
    name = "sampling/logp_difference"
    logged = [row[name] for row in read_metrics(run / "metrics.jsonl") if name in row]
    print(f"mismatch {logged}")
    assert logged
    assert all(0 < value < 0.05 for value in logged)


def write_rows(folder: Path) -> Path:
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in processes.rows()))
    return data


def greedy_of_engine(trainer: Any, prompts: list[list[int]]) -> list[list[int]]:
    engine = trainer.vllm_generation
    temperature, engine.temperature = engine.temperature, 0.0
    try:
        return [list(ids) for ids in engine.generate(prompts, None, 1)[1]]
    finally:
        engine.temperature = temperature


@torch.no_grad()
def greedy_of_transformers(trainer: Any, prompts: list[list[int]]) -> list[list[int]]:
    """Of the policy as it is now, in the engine's precision."""
    policy = copy.deepcopy(trainer.model).bfloat16().eval()
    length = trainer.max_completion_length
    outputs = [policy.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=length) for ids in prompts]
    return [output[0, len(ids) :].tolist() for output, ids in zip(outputs, prompts, strict=True)]


def agreement(first: list[list[int]], second: list[list[int]]) -> float:
    return sum(mine == theirs for mine, theirs in zip(first, second, strict=True)) / len(first)


def wait_for_health(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    while True:
        assert server.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{url}/health"):
                return
        except OSError:
            time.sleep(1)
