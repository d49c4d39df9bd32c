"""Probes: rollouts to the same few training prompts at step 0 and at every recorded step, for the report's map.

A training prompt seldom comes back, so the stored groups do not show one problem at two steps. Probes do. They are
sampled from one fixed seed, so that what moves between two steps is the policy; they take no draw from the training and
are in no metric. Step N is the policy after N optimiser steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils import DistributedType
from datasets import Dataset
from rich.console import Console
from transformers import TrainerCallback

from oger.evaluation.backends.base import SamplingSettings
from oger.evaluation.job import OutcomeReward, own_job
from oger.evaluation.runner import run_job
from oger.evaluation.summary import Graded, by_problem
from oger.method.divergence import teacher_divergence
from oger.recipes.recipe import Recipe
from oger.runs.rollouts import PROBES, write_rollouts
from oger.teachers.table.column import COLUMN, parse_cell
from oger.training.run.build import outcome_function
from oger.training.run.shared_evaluation import leanly
from oger.training.run.show import tell
from oger.training.trainer import OGERTrainer

_LOOKED_AT = 1000
"""Rows that are drawn to choose from: more would be read in vain."""
_ENOUGH_TEACHERS = 2  # one teacher alone is a point, from which the policy could only go one way
_WHOLE_POLICY = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def choose_probes(dataset: Dataset, count: int, seed: int) -> list[dict[str, Any]]:
    """At most `count` rows with different prompts, in an order drawn by `seed`.

    Rows with at least two different teacher trajectories come first; rows without any are left out. The column
    `teachers` holds the trajectories as `parse_cell` gives them.
    """
    if COLUMN not in dataset.column_names:
        return []
    order = np.random.default_rng(seed).permutation(len(dataset))[:_LOOKED_AT].tolist()
    cells = dataset.select_columns([COLUMN])
    teachers = {
        index: [entry for entry in parse_cell(cells[index][COLUMN]) if entry["text"].strip()] for index in order
    }
    different = {index: len({entry["text"] for entry in entries}) for index, entries in teachers.items()}
    chosen: dict[str, dict[str, Any]] = {}
    for index in sorted((index for index in order if teachers[index]), key=lambda i: different[i] < _ENOUGH_TEACHERS):
        if len(chosen) == count:
            break
        row = dataset[index]
        chosen.setdefault(repr(row["prompt"]), {**row, COLUMN: teachers[index]})
    return list(chosen.values())


def probe_callbacks(recipe: Recipe, trainer: OGERTrainer, console: Console) -> list[Probes]:
    """The callback that takes a recipe's probes; none where they are not asked for, cannot be had, or have no teachers.

    What keeps a run that has teachers from taking them is said on the console.
    """
    if not recipe.probe_prompts or not recipe.rollouts_every:
        return []
    rows = choose_probes(trainer.train_dataset, recipe.probe_prompts, trainer.args.seed)
    if not rows:
        return []
    reason = _why_none(trainer)
    if reason is None:
        return [Probes(trainer, rows, outcome_function(recipe), recipe.output_dir, recipe.rollouts_every)]
    tell(console, f"no probes for the report's map: {reason}")
    return []


def _why_none(trainer: OGERTrainer) -> str | None:
    if trainer.accelerator.distributed_type not in _WHOLE_POLICY:
        return "no single process holds the whole policy"
    if trainer.use_vllm:
        return "vLLM generates, and without it they would take longer than a step"
    return None


@dataclass(eq=False)
class Probes(TrainerCallback):
    """Writes RUN/probes/step-NNNNNN.parquet; the main process does, and the others wait for it at the next step."""

    trainer: OGERTrainer
    """Holds the policy, the encoders and the options; each prompt gets its `num_generations` rollouts."""
    rows: Sequence[Mapping[str, Any]]
    """What `choose_probes` chose."""
    outcome_reward: OutcomeReward
    run: Path
    every: int
    """Steps from one probe to the next."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The untrained policy."""
        if state.global_step == 0:
            self._take(0)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before the checkpoint of the same step is saved, so that no checkpoint is ahead of its probes."""
        if state.global_step % self.every == 0:
            self._take(state.global_step)

    def _take(self, step: int) -> None:
        trainer = self.trainer
        if not trainer.accelerator.is_main_process:
            return
        args, policy = trainer.args, trainer.accelerator.unwrap_model(trainer.model)
        job = own_job(
            "probes",
            self.rows,
            policy,
            trainer.processing_class,
            reward=self.outcome_reward,
            num_samples=args.num_generations,
            sampling=SamplingSettings(args.temperature, args.top_p, trainer.max_completion_length, args.seed),
            # As many rows at once as the training generates on this device: known to fit.
            batch_size=args.per_device_train_batch_size * args.steps_per_generation,
            chat_template_kwargs=args.chat_template_kwargs,
        )
        with leanly(policy, args):
            samples = by_problem(run_job(job).responses).values()
        write_rollouts(self.run, step, _records(trainer, self.rows, list(samples)), store=PROBES)


def _records(
    trainer: OGERTrainer, rows: Sequence[Mapping[str, Any]], sampled: Sequence[Sequence[Graded]]
) -> list[dict[str, Any]]:
    """Rows of `oger.runs.rollouts.PROBES`: for each prompt its rollouts, then every teacher."""
    args = trainer.args
    records: list[dict[str, Any]] = []
    for group, (row, responses) in enumerate(zip(rows, sampled, strict=True)):
        teachers = row[COLUMN]
        online_GE = trainer.encoder.encode([response.text for response in responses])
        teacher_ME = trainer.teacher_encoder.encode([teacher["text"] for teacher in teachers])
        divergence_G = teacher_divergence(
            online_GE, teacher_ME, aggregation=args.divergence_aggregation, scale=args.divergence_scale
        )
        rollouts = [
            {
                "origin": "online",
                "text": response.text,
                "outcome": response.outcome,
                "divergence": divergence.item(),
                "truncated": response.truncated,
                "num_tokens": response.num_tokens,
                "vector": vector_E.tolist(),
            }
            for response, divergence, vector_E in zip(responses, divergence_G, online_GE, strict=True)
        ]
        trajectories = [
            {
                "origin": "teacher",
                "teacher": teacher["teacher"],
                "text": teacher["text"],
                "outcome": teacher["verdict"],
                "truncated": False,
                "num_tokens": len(trainer.turn.token_ids(teacher["text"])),
                "vector": vector_E.tolist(),
            }
            for teacher, vector_E in zip(teachers, teacher_ME, strict=True)
        ]
        for place, record in enumerate([*rollouts, *trajectories]):
            records.append({"group": group, "row": place, "prompt": row["prompt"], **record})
    return records
