"""Started by torchrun in `test_nonfinite.py`: on the second rank alone a reward is NaN, in the second step."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from oger import OGERTrainer
from tests.support.trainers import make_breaking_trainer, replace_reward

STEPS = 3


def on_the_second_rank(trainer: OGERTrainer, is_due: Callable[[], bool]) -> None:
    is_second = trainer.accelerator.process_index == 1
    replace_reward(trainer, lambda: is_second and is_due(), math.nan)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    trainer, weights = make_breaking_trainer(
        folder, on_the_second_rank, lambda step: step == 2, max_steps=STEPS, ddp_backend="gloo",
        save_strategy="steps", save_steps=2,
    )  # fmt: skip
    trainer.train()
    rank = trainer.accelerator.process_index
    report = {
        "world_size": trainer.accelerator.num_processes,
        "weights": [parameter.detach().flatten().tolist() for parameter in trainer.model.parameters()],
        "moved": [weights.moved(step) for step in range(1, STEPS + 1)],
        "skipped": trainer.step_guard.skipped,
    }
    (folder / f"rank{rank}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
