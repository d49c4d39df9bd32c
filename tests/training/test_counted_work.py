"""What a training step computes, by count: a guard against slower steps that does not depend on the machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.utils import send_to_device

from oger.training.rollouts.shrinking_generation import MIN_FINISHED
from tests.support.trainers import CountingReward, make_trainer

STEPS, ROWS, PROMPTS, MICRO_BATCHES, CHUNKS = 2, 16, 4, 2, 4


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two steps of a run with default options, counted."""
    reward = CountingReward()
    trainer = make_trainer(tmp_path_factory.mktemp("work"), reward=reward, max_steps=STEPS, length_chunks=CHUNKS)
    count: Counter[str] = Counter()
    prefills, batches = [], []
    generating = False

    def before(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        kind = "generate" if generating else "train" if torch.is_grad_enabled() else "score"
        rows, columns = kwargs["input_ids"].shape
        count[f"{kind} forwards"] += 1
        count[f"{kind} positions"] += rows * columns
        if generating and columns > 1:
            prefills.append(rows)
        if kind == "train":
            count["train tokens"] += int(kwargs["attention_mask"].sum())

    def counted(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal generating
            generating = True
            result = function(*args, **kwargs)
            generating = False
            return result

        return call

    trainer.model.register_forward_pre_hook(before, with_kwargs=True)
    trainer._generate = counted(trainer._generate)  # type: ignore[method-assign]
    encode = trainer.encoder.encode
    trainer.encoder.encode = lambda texts: (  # type: ignore[method-assign]
        count.update({"encoder calls": 1, "encoded texts": len(texts)}),
        encode(texts),
    )[1]
    trainer.batch_sinks.append(lambda step, batch: batches.append(batch))
    trainer.train()
    return {"count": count, "prefills": prefills, "batches": batches, "reward": reward}


def test_generation_computes_each_prompt_once_and_drops_finished_rows(work: dict[str, Any]) -> None:
    lengths = [[len(ids) for ids in batch.rollouts.completion_ids] for batch in work["batches"]]
    assert work["prefills"] == [PROMPTS] * STEPS
    assert work["count"]["generate forwards"] == sum(map(max, lengths))
    prompts = sum(batch.tensors.prompt_ids_NP.size(1) * PROMPTS for batch in work["batches"])
    decoded = work["count"]["generate positions"] - prompts
    sampled = sum(length - 1 for step in lengths for length in step)  # the prefill gives the first token
    assert sampled <= decoded <= sampled / (1 - MIN_FINISHED) + sum(map(max, lengths))
    assert decoded < 0.9 * sum(ROWS * (max(step) - 1) for step in lengths)


def test_rewards_and_entropies_take_no_forward(work: dict[str, Any]) -> None:
    assert work["count"]["score forwards"] == 0


def test_update_computes_every_token_once_and_little_padding(work: dict[str, Any]) -> None:
    count = work["count"]
    assert count["train forwards"] == STEPS * MICRO_BATCHES * CHUNKS
    tensors = [batch.tensors for batch in work["batches"]]
    tokens = sum(int(t.prompt_mask_NP.sum() + t.completion_mask_NT.sum()) for t in tensors)
    padded = sum(t.prompt_mask_NP.numel() + t.completion_mask_NT.numel() for t in tensors)
    assert count["train tokens"] == tokens
    assert count["train positions"] - tokens < 0.5 * (padded - tokens)


def test_every_text_is_encoded_and_every_rollout_verified_once(work: dict[str, Any]) -> None:
    assert [len(call) for call in work["reward"].calls] == [ROWS] * STEPS
    teachers = sum(len(row["teachers"]) for batch in work["batches"] for row in batch.inputs[:: ROWS // PROMPTS])
    assert work["count"]["encoder calls"] == 2 * STEPS
    assert work["count"]["encoded texts"] == ROWS * STEPS + teachers


def test_rows_of_the_data_are_not_searched_for_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Any] = []

    def counted(batch: Any, *args: Any, **kwargs: Any) -> Any:
        searched.append(batch)
        return send_to_device(batch, *args, **kwargs)

    monkeypatch.setattr("accelerate.data_loader.send_to_device", counted)
    rows = next(iter(make_trainer(tmp_path).get_train_dataloader()))
    assert len(rows) == ROWS
    assert rows[0]["teachers"]
    assert not searched
