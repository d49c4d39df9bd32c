"""A tiny run that reports to trackio and tensorboard, in a process of its own: trackio reads TRACKIO_DIR when imported.

`python -m tests.support.tracked_run FOLDER kill` dies by SIGKILL after step 3, one step behind its checkpoint;
`... FOLDER resume` goes on from there to the end and prints what trackio has stored.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import trackio
from trackio.sqlite_storage import SQLiteStorage
from transformers import TrainerCallback

from oger import OGERConfig, OGERTrainer
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

PROJECT = "tracked"
STEPS, CHECKPOINT, KILLED = 4, 2, 3
FLUSHED_S = 2.0  # trackio writes every half second


class KillMyself(TrainerCallback):
    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == KILLED:
            time.sleep(FLUSHED_S)
            os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, *, resume: bool) -> None:
    options = quiet_options(
        folder / "checkpoints", max_steps=STEPS, save_strategy="steps", save_steps=CHECKPOINT, record_dir=str(folder),
        report_to=["trackio", "tensorboard"], project=PROJECT, eval_strategy="steps", eval_steps=CHECKPOINT,
    )  # fmt: skip
    trainer = OGERTrainer(
        model=tiny_policy(),
        reward_funcs=contains_answer,
        args=OGERConfig(**options),
        train_dataset=toy_dataset(),
        eval_dataset=toy_dataset(4),
        processing_class=tiny_tokenizer(),
        callbacks=[] if resume else [KillMyself()],
    )
    trainer.train(resume_from_checkpoint=str(folder / "checkpoints" / f"checkpoint-{CHECKPOINT}") if resume else None)
    runs = list(trackio.Api().runs(PROJECT))
    stored = {run.name: SQLiteStorage.get_logs(PROJECT, run.name, run_id=run.id) for run in runs}
    (folder / "trackio.json").write_text(json.dumps(stored))


if __name__ == "__main__":
    main(Path(sys.argv[1]), resume=sys.argv[2] == "resume")
