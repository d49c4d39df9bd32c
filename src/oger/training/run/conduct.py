"""The training of a run, from its first record to its summary: what every run goes through, however it was started."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, cast

from accelerate import PartialState
from rich.console import Console
from transformers import PrinterCallback

from oger.encoders.identity import identity_record
from oger.io.whole import write_json
from oger.recipes.recipe import Recipe, dump_recipe
from oger.runs import paths
from oger.runs.card import run_card, write_card
from oger.runs.environment import write_environment
from oger.runs.lock import run_lock
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.runs.rollouts import PROBES, ROLLOUTS, cut_rollouts_after
from oger.teachers.table.column import count_trajectories
from oger.training.keeper import Train
from oger.training.loop.checkpoint import newest_whole, save_policy
from oger.training.loop.nonfinite import check_trained
from oger.training.metrics.profiling import Profile
from oger.training.run.budget import BudgetStop, finish_from
from oger.training.run.callbacks import AlarmBell, BestPolicy, LiveProgress, MetricsFile
from oger.training.run.evaluate import EvaluationBefore, Tests, changes, evaluate_now, numbers, show_change
from oger.training.run.faults import one_line_faults
from oger.training.run.folder import as_saved, check_folder, clear, no_trace_of_failure, tidy
from oger.training.run.hub import push
from oger.training.run.parts import AFTER, POLICY, SAVING, TRAINING, Parts
from oger.training.run.probes import probe_callbacks
from oger.training.run.ranks import by_owner
from oger.training.run.show import describe, tell
from oger.training.run.start import start_record
from oger.training.run.stop_signals import StopSignals
from oger.training.run.warm_start import cost_before
from oger.training.trainer import OGERTrainer


def claim(recipe: Recipe, resume: bool, owned: ExitStack, console: Console) -> None:
    """Makes the run folder this process's own until `owned` ends; the main process alone.

    Raises:
        FileExistsError, FileNotFoundError, ValueError: as `train_recipe`.
    """
    run = recipe.output_dir
    check_folder(run, recipe, resume=resume)
    owned.enter_context(run_lock(run, console.print))
    check_folder(run, recipe, resume=resume)  # another process may have trained there meanwhile
    if resume:
        tidy(run)
        return
    clear(run)
    owned.enter_context(no_trace_of_failure(run))
    start_record(run, as_saved(recipe), PartialState().num_processes)
    dump_recipe(as_saved(recipe), run / paths.CONFIG)  # so that --resume finds a run killed before its first step


def conduct(
    recipe: Recipe,
    trainer: OGERTrainer,
    tests: Tests,
    console: Console,
    signals: StopSignals,
    train: Train,
    *,
    resume: bool,
    parts: Parts,
) -> dict[str, Any]:
    """Records, evaluates, trains, saves and evaluates again; returns what summary.json holds.

    Args:
        recipe: of the run, whose folder is claimed.
        tests: name -> problems.
        train: the training itself, from a checkpoint or from the start.
        resume: go on from the newest whole checkpoint.
    """
    parts.end(POLICY)
    run = recipe.output_dir
    is_main = trainer.accelerator.is_main_process
    if is_main:
        dump_recipe(as_saved(resolved_recipe(recipe, trainer)), run / paths.CONFIG)
        write_environment(run)
        write_json(run / paths.ENCODER, identity_record(trainer.encoder))
        write_json(run / paths.DATA, count_trajectories(cast("Iterable[Mapping[str, Any]]", trainer.train_dataset)))
        console.print(describe(recipe, trainer), highlight=False, soft_wrap=not console.is_terminal)
    checkpoint = by_owner(lambda: newest_whole(run / paths.CHECKPOINTS, partial(tell, console))) if resume else None
    if resume and is_main:
        step = 0 if checkpoint is None else paths.checkpoint_step(checkpoint) or 0
        for log in (paths.METRICS, paths.HISTOGRAMS, paths.ALARMS):
            if (run / log).is_file():
                MetricsLog(run / log).cut_after(step)
        for store in (ROLLOUTS, PROBES):
            cut_rollouts_after(run, step, store=store)
        tell(console, f"resuming after step {step}")
    trainer.accelerator.wait_for_everyone()

    measured = EvaluationBefore(run / paths.BEFORE, recipe, trainer, tests, console, parts)
    best = BestPolicy(run / paths.BEST, trainer)
    trainer.remove_callback(PrinterCallback)
    bell = AlarmBell(run, recipe.alarms, console)
    limits = recipe.max_generated_tokens, recipe.max_train_seconds
    rollouts, past = trainer.args.generation_batch_size, read_metrics(run / paths.METRICS)
    budget = BudgetStop(*limits, rollouts, past, before=cost_before(run))
    probes = probe_callbacks(recipe, trainer, console)
    live = LiveProgress(console)
    profile = [Profile(run, console)] if recipe.profile else []
    for callback in (measured, *probes, *profile, MetricsFile(run / paths.METRICS), best, bell, budget, live, signals):
        trainer.add_callback(callback)
    with closing(live), one_line_faults(trainer):
        if not finish_from(trainer, checkpoint, budget):
            train(None if checkpoint is None else str(checkpoint))
        parts.end(TRAINING)
        signals.raise_if_received()
        check_trained(trainer, trainer.step_guard)
        save_policy(trainer, run / paths.MODEL, card=run_card(run))
    parts.end(SAVING)
    before = measured.entries
    after = evaluate_now(recipe, trainer, tests, "after", console)
    parts.end(AFTER)
    summary = {
        "before": {name: entry["summary"] for name, entry in before.items()},
        "after": {name: numbers(recipe, name, result) for name, result in after.items()},
        "change": changes(before, after),
        "wall_seconds": round(parts.total, 1),
        "parts": parts.rounded,
        "steps": trainer.state.global_step,
        "generated_tokens": budget.tokens,
        "train_seconds": round(budget.seconds, 1),
        "seed": trainer.args.seed,
        "best": best.record,
    }
    if is_main:
        for policy in (paths.MODEL, paths.BEST):
            if (run / policy).is_dir():  # once more, now that the accuracy afterwards is known
                write_card(run, run / policy, policy, summary=summary)
        tidy(run)
        write_json(run / paths.SUMMARY, summary)  # last: it says that the run has finished
        show_change(console, summary, before, after, tests)
        tell(
            console,
            f"{summary['steps']} steps in {summary['wall_seconds']:.0f} s; everything is in {run} "
            f"(oger evaluate {run}, oger sample {run} PROBLEM)",
        )
        tell(console, parts.line())
    push(trainer)
    return summary


def resolved_recipe(recipe: Recipe, trainer: OGERTrainer) -> Recipe:
    """The recipe with every value that a preset or a default stands for, as the run uses it."""
    resolved = trainer.args.resolved_options()
    return dataclasses.replace(recipe, training={**recipe.training, **resolved})
