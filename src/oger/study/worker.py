"""One cell in a process of its own: `python -m oger.study.worker CELL`, started by the study.

A cell that was killed goes on where it was: the run is resumed, a finished run is only measured.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.io.lock import Lock
from oger.io.objects import read_object
from oger.io.whole import write_json
from oger.runs.metrics_log import generated_tokens, read_metrics
from oger.runs.paths import BEST, CHECKPOINTS, CONFIG, METRICS, SUMMARY, VALIDATION, stages
from oger.study.cell_folder import OUTCOMES, RESULT, RUN, SIGNALS, SPEC

if TYPE_CHECKING:
    from oger.recipes import Recipe

_PARENT_CHECK_S = 1.0


def work(cell: Path) -> None:
    """Train, measure and store one cell."""
    spec = read_object(cell / SPEC)
    started = time.perf_counter()

    from oger.recipes import load_recipe
    from oger.runs.environment import environment

    run = cell / RUN
    recipe = load_recipe(spec["recipe"], [*spec["overrides"], f"output_dir={json.dumps(str(run))}"])
    train = _train(recipe, run) if spec["train"] else {}
    numbers, outcomes = _measure(spec, recipe, run)
    write_json(cell / OUTCOMES, outcomes)
    for stage in stages(run):
        shutil.rmtree(stage / CHECKPOINTS, ignore_errors=True)
    # A cell that was killed has spent more than this process saw: its training knows how long its steps took.
    seconds = max(time.perf_counter() - started, train.get("train_seconds", 0.0))
    write_json(
        cell / RESULT,
        {
            "identity": spec["identity"],
            "train": train,
            "measures": numbers,
            "curve": _curve(recipe, run) if spec["train"] else [],
            "wall_seconds": round(seconds, 1),
            "date": datetime.now(UTC).date().isoformat(),
            "environment": environment(),
        },
    )


def _train(recipe: Recipe, run: Path) -> dict[str, Any]:
    """Train, or continue, or find out that there is nothing left to do."""
    from oger.training.run.train import train_recipe
    from oger.training.run.warm_start import cost_before

    if not (run / SUMMARY).is_file():
        resume = (run / CONFIG).is_file()
        if not resume and run.exists():
            shutil.rmtree(run)  # killed before the run said what it is
        train_recipe(recipe, resume=resume)
    summaries = [read_object(stage / SUMMARY) for stage in stages(run)]
    last, (tokens, seconds) = summaries[-1], cost_before(run)
    return {
        **last,
        "stages": [{name: each[name] for name in ("steps", "generated_tokens")} for each in summaries],
        "steps": sum(summary["steps"] for summary in summaries),
        "generated_tokens": last["generated_tokens"] + tokens,
        "train_seconds": last["train_seconds"] + seconds,
    }


def _measure(spec: Mapping[str, Any], recipe: Recipe, run: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Numbers and outcomes of every policy on every split."""
    from oger.encoders.registry import create_encoder, resolve_spec
    from oger.runs.policy import load_policy, locate_policy, locate_target, model_source
    from oger.study.measure import format_blind, problem_outcomes, rules_without_box, summarize_policy
    from oger.training.run.build import outcome_function, run_options
    from oger.training.run.evaluate import evaluate
    from oger.training.run.rows import checked_rows
    from oger.worlds.world import strategy_rule

    how = dict(spec["encoder"])
    encoder = create_encoder(resolve_spec(how.pop("encoder"), model_source(recipe.model)), **how)
    args = run_options(recipe)
    said = rules_without_box(recipe.answer_rules)
    grade = outcome_function(recipe) if said is None else outcome_function(replace(recipe, answer_rules=said))
    by_rules = said is not None and grade.__name__ == "accuracy_reward"  # another outcome does not read the rules
    numbers: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    models: dict[str, Any] = {}
    found: dict[tuple[Any, ...], tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    for measure in spec["measures"]:
        policy = measure["policy"]
        if policy == "best" and not (run / BEST).is_dir():
            continue  # no validation, so no policy was chosen by it
        weights = "last" if policy == "best" and _last_is_best(run) else policy
        if weights not in models:
            location = locate_policy(str(run), weights) if spec["train"] else locate_target(recipe.model)
            models[weights] = load_policy(location)
        for split, source in measure["splits"].items():
            what = (weights, source, measure["limit"], measure["samples"])
            if what not in found:  # one policy under two names is measured once
                rows = checked_rows(recipe, source, measure["limit"])
                result = evaluate(
                    recipe, args, models[weights], rows, num_samples=measure["samples"], seed=spec["seed"]
                )
                blind = format_blind(result, recipe.answer_rules, grade) if by_rules else None
                per_problem = problem_outcomes(result, blind=blind, strategy_of=strategy_rule(source))
                found[what] = summarize_policy(result.responses, rows, encoder), per_problem
            name = {"evaluation": measure["evaluation"], "policy": policy, "split": split}
            numbers.append({**name, "source": source, **found[what][0]})
            outcomes += [{**name, **problem} for problem in found[what][1]]
    return numbers, outcomes


def _last_is_best(run: Path) -> bool:
    """Whether the policy after the last step is the one that validation chose."""
    return read_object(run / BEST / VALIDATION)["step"] == read_object(run / SUMMARY)["steps"]


def _curve(recipe: Recipe, run: Path) -> list[dict[str, Any]]:
    """One row per step of the last stage, costs of the stages before included; see `oger.study.store.CURVES`."""
    from oger.training.run.budget import train_seconds
    from oger.training.run.build import run_options
    from oger.training.run.warm_start import cost_before

    rollouts = run_options(recipe).generation_batch_size or 0
    tokens, seconds = cost_before(run)
    rows = []
    for row in read_metrics(run / METRICS):
        tokens += generated_tokens(row, rollouts)
        seconds += train_seconds(row)
        rows.append(
            {
                "step": row["step"],
                "reward": row.get("reward/outcome", row.get("reward")),
                "validation": row.get("eval/outcome"),
                # TRL's own objective, which plain GRPO may use, writes its own names.
                "entropy": row.get("entropy/mean", row.get("entropy")),
                "length": row.get("length/online", row.get("completions/mean_length")),
                "divergence": row.get("divergence/mean"),
                **{column: row.get(metric) for column, metric in SIGNALS.items()},
                "generated_tokens": tokens,
                "seconds": round(seconds, 3),
            }
        )
    return rows


# --- the process ------------------------------------------------------------------------------------------------------


def main() -> None:
    """Entry point: the threads were set by the parent through the environment."""
    cell = Path(sys.argv[1])
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    with Lock(cell, wait=True):  # such as for one whose study was killed a moment ago
        work(cell)


def _end_with_parent(parent: int) -> None:
    """A killed study leaves no training behind: the next one would meet it in the same folder."""
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)


if __name__ == "__main__":
    main()
