"""Every name in a run folder.

RUN/config.yaml         the resolved recipe
RUN/started.yaml        what the run was started with: recipe, processes, checksums of its data; a resume has the same
RUN/sent_in/            data sets and model of a run that was started from Python, where they were no files
RUN/first/              the run of the stage before, where the recipe has one
RUN/warm_start.json     what was measured to decide on that stage, and what it cost
RUN/environment.json    versions, hardware, commit
RUN/data.json           prompts of the training set, and trajectories of each teacher
RUN/encoder.json        identity of the encoder
RUN/metrics.jsonl       one row per optimiser step
RUN/histograms.jsonl    distributions of D, H, c and the bonus among correct rollouts, one row per rollout batch
RUN/alarms.jsonl        what began to go wrong, and at which step
RUN/tensorboard/        its events, where a recipe reports to it
RUN/tracker_id          what a resumed run finds its run in trackio or wandb by
RUN/rollouts/           Parquet, every `rollouts_every` steps
RUN/probes/             the same for a few prompts that are sampled again at each of these steps
RUN/batches/            Parquet, every rollout batch, where `rollouts` is `record`
RUN/profile/            where the time of two steps went, if `profile` is set
RUN/checkpoints/        what `--resume` continues from
RUN/faults/             Parquet, rows of each step that was skipped because a number was not finite
RUN/lock                while a process trains here
RUN/before.json         evaluation of the untrained policy
RUN/model/, RUN/best/   the last policy, and the best one on the validation set, with validation.json;
                        each with its model card, README.md
RUN/merged/             the last policy of a LoRA run as a whole model, where oger merge has made one
RUN/summary.json        before and after; its presence says that the run has finished
"""

from __future__ import annotations

from pathlib import Path

CONFIG = "config.yaml"
STARTED = "started.yaml"
SENT_IN = "sent_in"
FIRST = "first"
WARM_START = "warm_start.json"
ENVIRONMENT = "environment.json"
DATA = "data.json"
ENCODER = "encoder.json"
METRICS = "metrics.jsonl"
HISTOGRAMS = "histograms.jsonl"
ALARMS = "alarms.jsonl"
TENSORBOARD = "tensorboard"
TRACKER_ID = "tracker_id"
ROLLOUTS = "rollouts"
PROBES = "probes"
BATCHES = "batches"
PROFILE = "profile"
CHECKPOINTS = "checkpoints"
FAULTS = "faults"
LOCK = "lock"
BEFORE = "before.json"
MODEL = "model"
BEST = "best"
VALIDATION = "validation.json"
"""In the folder of the best policy: its step and its validation accuracy."""
MERGED = "merged"
SUMMARY = "summary.json"

WRITTEN_INTO = (ROLLOUTS, PROBES, BATCHES, PROFILE, CHECKPOINTS, FAULTS, MODEL, BEST)
"""Folders to which a run adds files while it goes on."""

_CHECKPOINT = "checkpoint-"


def checkpoint_step(path: Path) -> int | None:
    """Step of checkpoint-STEP, None for any other name."""
    step = path.name.removeprefix(_CHECKPOINT)
    return int(step) if step != path.name and step.isdecimal() else None


def stages(run: Path) -> list[Path]:
    """The run folder, after those of the stages that were trained before."""
    first = run / FIRST
    return [*stages(first), run] if first.is_dir() else [run]
