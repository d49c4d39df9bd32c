"""One run: from a recipe to a run folder, whose names `oger.runs.paths` lists."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from rich.console import Console
from transformers import PrinterCallback

from oger.encoders.identity import identity_record
from oger.io.whole import remove_leftovers, write_json
from oger.recipes.recipe import Recipe, dump_recipe, load_recipe
from oger.runs.environment import write_environment
from oger.runs.lock import run_lock
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.runs.paths import (
    ALARMS,
    BEFORE,
    BEST,
    CHECKPOINTS,
    CONFIG,
    ENCODER,
    HISTOGRAMS,
    METRICS,
    MODEL,
    SUMMARY,
    checkpoint_step,
)  # fmt: skip
from oger.runs.rollouts import PROBES, ROLLOUTS, cut_rollouts_after
from oger.terminal.console import Terminal
from oger.training.loop.checkpoint import newest_whole, save_policy
from oger.training.loop.nonfinite import check_trained
from oger.training.metrics.profiling import Profile
from oger.training.run.budget import BudgetStop, finish_from
from oger.training.run.build import build_trainer, checked_rows, read_data, run_options
from oger.training.run.callbacks import AlarmBell, BestPolicy, LiveProgress, MetricsFile
from oger.training.run.evaluate import can_evaluate, evaluate_before, evaluate_now, numbers, show_change
from oger.training.run.faults import one_line_faults
from oger.training.run.folder import as_saved, check_folder, clear, free_folder, no_trace_of_failure
from oger.training.run.options import check_training
from oger.training.run.probes import probe_callbacks
from oger.training.run.ranks import by_owner, check_group
from oger.training.run.show import describe, quiet_libraries
from oger.training.run.start import same_start, start_record
from oger.training.run.stop_signals import StopSignals
from oger.training.run.warm_start import cost_before, warm_start
from oger.training.trainer import OGERTrainer


def train_recipe(recipe: Recipe, *, resume: bool = False, console: Console | None = None) -> dict[str, Any]:
    """Trains as a recipe says and returns what summary.json holds.

    Raises:
        FileExistsError: if the run folder holds a run and `resume` is not asked for.
        FileNotFoundError: if there is no run to resume.
        ValueError: if the recipe cannot be used, is not the one that the resumed run was started with, or another
            process trains in the run folder.
        RunFaultError: if memory, disk or numbers that are not finite end the run; what was saved is whole.
        RunStopped: if SIGTERM or SIGINT ends it.
    """
    quiet_libraries()
    recipe = check_training(recipe)
    console = console or Terminal()
    run = recipe.output_dir
    with StopSignals() as signals, ExitStack() as owned:
        run_options(recipe).device  # noqa: B018 - makes the process group
        check_group()

        def own_folder() -> None:
            check_folder(run, recipe, resume=resume)
            owned.enter_context(run_lock(run, console.print))
            check_folder(run, recipe, resume=resume)  # another process may have trained there meanwhile
            if resume:
                remove_leftovers(run)
                return
            clear(run)
            owned.enter_context(no_trace_of_failure(run))
            start_record(run, as_saved(recipe), PartialState().num_processes)
            dump_recipe(as_saved(recipe), run / CONFIG)  # so that --resume finds a run killed before its first step

        by_owner(own_folder)
        return _train(recipe, resume, console, signals)


def _train(recipe: Recipe, resume: bool, console: Console, signals: StopSignals) -> dict[str, Any]:
    started = time.perf_counter()
    run = recipe.output_dir
    tests = {name: checked_rows(recipe, source, recipe.eval_limit) for name, source in recipe.test.items()}
    data = read_data(recipe)
    by_owner(lambda: same_start(run, recipe, data, tests, PartialState().num_processes))
    model = recipe.model if recipe.first is None else warm_start(recipe, train_recipe, console)

    def say(line: str) -> None:
        if PartialState().is_main_process:
            console.print(line, highlight=False, soft_wrap=True)

    trainer = build_trainer(dataclasses.replace(recipe, model=model), data, say=say)
    if not can_evaluate(trainer):
        tests = {}
    is_main = trainer.accelerator.is_main_process
    if is_main:
        dump_recipe(as_saved(resolved_recipe(recipe, trainer)), run / CONFIG)
        write_environment(run)
        write_json(run / ENCODER, identity_record(trainer.encoder))
        console.print(describe(recipe, trainer), highlight=False, soft_wrap=not console.is_terminal)
    checkpoint = _checkpoint_of_all_ranks(run, console) if resume else None
    if resume and is_main:
        step = 0 if checkpoint is None else checkpoint_step(checkpoint) or 0
        for log in (METRICS, HISTOGRAMS, ALARMS):
            if (run / log).is_file():
                MetricsLog(run / log).cut_after(step)
        for store in (ROLLOUTS, PROBES):
            cut_rollouts_after(run, step, store=store)
        console.print(f"resuming after step {step}", highlight=False)
    trainer.accelerator.wait_for_everyone()

    before = evaluate_before(run / BEFORE, recipe, trainer, tests, console)
    best = BestPolicy(run / BEST, trainer)
    trainer.remove_callback(PrinterCallback)
    bell = AlarmBell(run, recipe.alarms, console)
    limits = recipe.max_generated_tokens, recipe.max_train_seconds
    rollouts, past = trainer.args.generation_batch_size, read_metrics(run / METRICS)
    budget = BudgetStop(*limits, rollouts, past, before=cost_before(run))
    probes = probe_callbacks(recipe, trainer, console)
    live = LiveProgress(console)
    profile = [Profile(run, console)] if recipe.profile else []
    for callback in (*probes, *profile, MetricsFile(run / METRICS), best, bell, budget, live, signals):
        trainer.add_callback(callback)
    with closing(live), one_line_faults(trainer):
        if not finish_from(trainer, checkpoint, budget):
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        signals.raise_if_received()
        check_trained(trainer, trainer.step_guard)
        save_policy(trainer, run / MODEL)
    after = evaluate_now(recipe, trainer, tests, "after", console)
    summary = {
        "before": {name: entry["summary"] for name, entry in before.items()},
        "after": {name: numbers(recipe.test[name], result) for name, result in after.items()},
        "wall_seconds": round(time.perf_counter() - started, 1),
        "steps": trainer.state.global_step,
        "generated_tokens": budget.tokens,
        "train_seconds": round(budget.seconds, 1),
        "seed": trainer.args.seed,
        "best": best.record,
    }
    if is_main:
        write_json(run / SUMMARY, summary)
        show_change(console, summary, before, after, tests)
        console.print(
            f"{summary['steps']} steps in {summary['wall_seconds']:.0f} s; everything is in {run} "
            f"(oger evaluate {run}, oger sample {run} PROBLEM)",
            highlight=False,
            soft_wrap=True,
        )
    return summary


def quickstart(
    *, steps: int | None = None, seed: int = 0, out: Path | None = None, console: Console | None = None
) -> dict[str, Any]:
    """The shipped quickstart recipe; without `out`, in the first free folder runs/quickstart, runs/quickstart-2, ..."""
    overrides = [f"seed={seed}"]
    if steps is not None:
        overrides.append(f"max_steps={steps}")
    overrides.append(f"output_dir={json.dumps(str(out or free_folder(Path('runs') / 'quickstart')))}")
    return train_recipe(load_recipe("quickstart", overrides), console=console)


def resolved_recipe(recipe: Recipe, trainer: OGERTrainer) -> Recipe:
    """The recipe with every value that a preset or a default stands for, as the run uses it."""
    resolved = trainer.args.resolved_options()
    return dataclasses.replace(recipe, training={**recipe.training, **resolved})


def _checkpoint_of_all_ranks(run: Path, console: Console) -> Path | None:
    """The newest whole checkpoint, as the main process finds it; that one names the damaged ones it passes over."""
    found: list[Path | None] = [None]
    if PartialState().is_main_process:
        found = [newest_whole(run / CHECKPOINTS, lambda line: console.print(line, highlight=False, soft_wrap=True))]
    return broadcast_object_list(found)[0]
