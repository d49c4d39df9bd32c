"""Started by torchrun in `test_two_ranks.py`: two optimiser steps per rollout batch; keeps their rows and weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_rows

STEPS, RATE = 4, 0.05
KEPT = (
    "prompt_ids", "prompt_mask", "completion_ids", "completion_mask", "advantages", "offline", "old_per_token_logps",
    "imitated_ids", "imitated_mask",
)  # fmt: skip


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    options = quiet_options(
        folder, preset="paper_text", imitation_weight=0.5, max_steps=STEPS, learning_rate=RATE, optim="sgd",
        lr_scheduler_type="constant", max_grad_norm=0.0, per_device_train_batch_size=4, gradient_accumulation_steps=2,
        steps_per_generation=4, length_chunks=1, skip_idle_rows=False,
    )  # fmt: skip
    trainer = OGERTrainer(
        tiny_policy(), contains_answer, OGERConfig(**options, ddp_backend="gloo"), Dataset.from_list(toy_rows(16)),
        processing_class=tiny_tokenizer(),
    )  # fmt: skip
    rank = trainer.accelerator.process_index

    def roll_out(prompts: list[Any], trainer: Any) -> dict[str, Any]:
        """Rows of very different lengths, on the second rank longer ones."""
        prompt_ids, *_ = trainer._tokenize_prompts(prompts)
        texts = ["abc"[row % 3] * (1 + (row * row + 3 * rank) % (5 + 5 * rank)) for row in range(len(prompts))]
        ids = [[*trainer._tokenizer(text)["input_ids"], 1] for text in texts]
        return {"prompt_ids": prompt_ids, "completion_ids": ids, "logprobs": None}

    trainer.rollout_func = roll_out
    weights: list[dict[str, torch.Tensor]] = []
    rows: list[list[dict[str, torch.Tensor]]] = [[] for _ in range(STEPS)]
    inner = trainer._compute_loss

    def watch(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        step = trainer.state.global_step
        if not rows[step]:
            weights.append(
                {name: p.detach().clone() for name, p in trainer.accelerator.unwrap_model(model).named_parameters()}
            )
        rows[step].append({name: inputs[name].detach().clone() for name in KEPT})
        return inner(model, inputs)

    trainer._compute_loss = watch  # type: ignore[method-assign]
    trainer.train()
    weights.append({name: p.detach().clone() for name, p in trainer.model.named_parameters()})
    torch.save({"rows": rows, "weights": weights}, folder / f"rank{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
