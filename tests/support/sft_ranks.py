"""Started by torchrun in `test_imitation.py`: supervised fine-tuning on 16 rows per step, whatever the world size."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from datasets import Dataset

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_rows


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    rows = toy_rows(8, 3)
    rows[1]["teachers"] = rows[1]["teachers"][:1]
    rows[4]["teachers"] = rows[5]["teachers"] = []  # one of two ranks has no trajectory in the second step
    args = OGERConfig(
        **quiet_options(
            folder, max_steps=2, gradient_accumulation_steps=1, shuffle_dataset=False, optim="sgd", max_grad_norm=0.0,
            per_device_train_batch_size=16 // int(os.environ["WORLD_SIZE"]), learning_rate=0.5, preset="none",
            policy_weight=0, imitation_weight=1.0, imitation_rows=None, entropy_coef=0.0, teacher_rows=0,
            exploration_weight=0,
        ),
        ddp_backend="gloo",
    )  # fmt: skip
    trainer = OGERTrainer(
        tiny_policy(), contains_answer, args, Dataset.from_list(rows), processing_class=tiny_tokenizer()
    )
    trainer.train()
    report = {
        "world_size": trainer.accelerator.num_processes,
        "weights": [value for p in trainer.model.parameters() for value in p.detach().flatten().tolist()],
    }
    (folder / f"rank{trainer.accelerator.process_index}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
