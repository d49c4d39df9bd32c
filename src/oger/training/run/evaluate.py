"""A run measures itself on its test sets, before and after training, and shows what changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from oger.evaluation.backends.base import SamplingSettings
from oger.evaluation.job import Result, own_job
from oger.evaluation.runner import run_job
from oger.evaluation.statistics.accuracy import change
from oger.evaluation.summary import by_problem
from oger.io.whole import regular, write_json
from oger.recipes.recipe import Recipe
from oger.reporting.prompts import readable_prompt
from oger.reporting.tables import comparison_table, sample_panel
from oger.training.config import OGERConfig
from oger.training.run.build import outcome_function
from oger.training.trainer import OGERTrainer

Tests = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name -> rows of each test set."""


def evaluate(
    recipe: Recipe,
    args: OGERConfig,
    policy: tuple[Any, Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    num_samples: int,
    seed: int,
) -> Result:
    """A policy (model, tokenizer) on problems, asked and graded as the recipe says; `args` are its `run_options`."""
    job = own_job(
        recipe.name,
        rows,
        *policy,
        reward=outcome_function(recipe),
        num_samples=num_samples,
        sampling=SamplingSettings(recipe.eval_temperature, 1.0, args.max_completion_length, seed),
        chat_template_kwargs=args.chat_template_kwargs,
    )
    return run_job(job)


def can_evaluate(trainer: OGERTrainer) -> bool:
    """One process alone: it holds the whole policy, and no other waits for it."""
    return trainer.accelerator.num_processes == 1


def evaluate_now(recipe: Recipe, trainer: OGERTrainer, tests: Tests, when: str, console: Console) -> dict[str, Result]:
    """The policy as it is on every test set."""
    policy, args = (trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class), trainer.args
    results = {}
    for name, rows in tests.items():
        with console.status(Text(f"evaluating {name} {when} training")):
            results[name] = evaluate(recipe, args, policy, rows, num_samples=recipe.eval_samples, seed=args.seed)
    return results


def evaluate_before(
    path: Path, recipe: Recipe, trainer: OGERTrainer, tests: Tests, console: Console
) -> dict[str, dict[str, Any]]:
    """Name -> {"summary", "correct" samples of each problem, "outcomes", "texts"}; stored, so a resumed run reads it.

    Outcomes and texts are those of each problem's first sample.

    The policy is still the untrained one: what is stored and damaged is measured again.
    """
    if not tests:
        return {}
    if (stored := _stored(path, tests)) is not None:
        return stored
    before: dict[str, dict[str, Any]] = {}
    for name, result in evaluate_now(recipe, trainer, tests, "before", console).items():
        first = [samples[0] for samples in by_problem(result.responses).values()]
        before[name] = {
            "summary": result.accuracy,
            "correct": correct_samples(result),
            "outcomes": [response.outcome for response in first],
            "texts": [response.text for response in first],
        }
    write_json(path, before)
    return before


def _stored(path: Path, tests: Tests) -> dict[str, dict[str, Any]] | None:
    """What a file holds, None where that is not one entry for each test set."""
    try:
        before = json.loads(regular(path).read_text(encoding="utf-8"))
        for name, rows in tests.items():
            entry = before[name]
            per_problem = entry["outcomes"], entry["texts"], entry.get("correct", rows)
            if any(len(values) != len(rows) for values in per_problem) or not dict(entry["summary"]):
                return None
    except (OSError, ValueError, RecursionError, LookupError, TypeError):
        return None
    return before


def correct_samples(result: Result) -> list[int]:
    """Of each problem, in their order."""
    return [sum(each.outcome == 1 for each in samples) for samples in by_problem(result.responses).values()]


def changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Result]) -> dict[str, dict[str, Any]]:
    """Test set -> how far training moved pass@1 and pass@8, paired by problem, for summary.json.

    A before.json of an earlier version has no counts of each problem: no change of its sets.
    """
    found = {}
    for name, result in after.items():
        counts, samples = before[name].get("correct"), result.accuracy["samples"]
        if isinstance(counts, list) and before[name]["summary"].get("samples") == samples:
            found[name] = change(counts, correct_samples(result), samples)
    return found


def show_change(
    console: Console, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Result], tests: Tests
) -> None:
    """Accuracy before and after, and one problem of the first test set as teacher, old and new policy solve it."""
    if not after:
        return
    old = {name: found["summary"] for name, found in before.items()}
    console.print(comparison_table(old, {name: result.accuracy for name, result in after.items()}))
    name, result = next(iter(after.items()))
    first = [samples[0] for samples in by_problem(result.responses).values()]
    was = before[name]["outcomes"]
    learned = [index for index, response in enumerate(first) if was[index] == 0 and response.outcome == 1]
    index = learned[0] if learned else 0
    row = tests[name][index]
    teachers = row.get("teachers") or []
    console.print(
        sample_panel(
            readable_prompt(row["prompt"]),
            teacher=teachers[0]["text"] if teachers else None,
            before=before[name]["texts"][index],
            after=first[index].text,
        )
    )
