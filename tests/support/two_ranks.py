"""Started by torchrun in `test_two_ranks.py`: one rank's prompts have no teachers at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_rows


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rows = toy_rows(4)
    for row in rows[2:]:
        row["teachers"] = []  # without shuffling, the second rank's share of every batch
    args = OGERConfig(
        **quiet_options(
            folder,
            max_steps=2,
            gradient_accumulation_steps=1,
            shuffle_dataset=False,
            log_completions=True,
            # What gathers over ranks: forwards over teachers, which one rank has none of, histograms, shaping metrics.
            teacher_choice="most_comprehensible",
            record_dir=str(folder / "run"),
            shaping_rewards={"within_group_diversity": 0.1},
        ),
        ddp_backend="gloo",
    )
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tiny_tokenizer(),
    )
    stored: list[dict[str, object]] = []
    trainer.rollout_sinks.append(lambda step, batch: stored.extend(batch))
    trainer.train()
    rank = trainer.accelerator.process_index
    report = {
        "world_size": trainer.accelerator.num_processes,
        "weights": [p.detach().flatten().tolist() for p in trainer.model.parameters()],
        "log": [row for row in trainer.state.log_history if "loss" in row],
        "rows": stored,
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
