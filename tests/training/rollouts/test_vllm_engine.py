"""vLLM as TRL calls it, with an engine of the same interface in its place: what it is asked, and when it is synced."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.trainers import make_trainer

NOISE = 0.01
ROWS = 16


class Engine:
    """`trl.generation.VLLMGeneration`: samples from the weights of the last sync, with log-probs a little off."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._weights: Any = None
        self.syncs: list[int] = []
        self.calls: list[tuple[int, int, int]] = []
        """(optimiser steps taken, rows asked for, rollouts per prompt)"""

    def sync_weights(self) -> None:
        self.syncs.append(self._trainer.state.global_step)
        self._weights = copy.deepcopy(self._trainer.accelerator.unwrap_model(self._trainer.model)).eval()

    @torch.no_grad()
    def generate(self, prompts: list[list[int]], images: Any, num_generations: int, profiler: Any) -> tuple[Any, ...]:
        assert self._weights is not None, "asked before it had any weights"
        self.calls.append((self._trainer.state.global_step, len(prompts), num_generations))
        end, limit = self._trainer._tokenizer.eos_token_id, self._trainer.max_completion_length
        responses, logprobs = [], []
        for prompt in prompts:
            ids: list[int] = []
            of_row: list[list[float]] = []
            while len(ids) < limit and (not ids or ids[-1] != end):
                logits = self._weights(input_ids=torch.tensor([prompt + ids])).logits[0, -1]
                logps = (logits / self._trainer.temperature).log_softmax(-1)
                ids.append(int(torch.multinomial(logps.exp(), 1)))
                of_row.append([logps[ids[-1]].item() + NOISE])
            responses.append(ids)
            logprobs.append(of_row)
        return prompts, responses, logprobs, None


@pytest.mark.parametrize("reuse", [{}, {"steps_per_generation": 4, "gradient_accumulation_steps": 2}], ids=str)
def test_engine_writes_online_rows_alone_is_synced_once_per_step_and_its_mismatch_is_logged(
    tmp_path: Path, reuse: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"max_steps": 4, **reuse}
    if reuse:
        options["per_device_train_batch_size"] = ROWS // 4
    trainer = make_trainer(tmp_path, **options)
    engine = Engine(trainer)
    trainer.use_vllm = trainer.args.use_vllm = True
    trainer.vllm_generation, trainer._last_loaded_step = engine, -1
    teachers: list[int] = []
    trainer.batch_sinks.append(lambda step, batch: teachers.append(int(batch.tensors.offline_N.sum())))
    trainer.train()

    steps = [0, 2] if reuse else [0, 1, 2, 3]
    assert engine.calls == [(step, ROWS, trainer.num_generations) for step in steps]
    assert engine.syncs == steps
    assert teachers == [ROWS // trainer.num_generations] * len(steps)
    logged = [row["sampling/logp_difference"] for row in trainer.state.log_history if "sampling/logp_difference" in row]
    assert len(logged) == len(steps)
    assert logged == pytest.approx([NOISE] * len(steps), rel=1e-3)
