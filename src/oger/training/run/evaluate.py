"""A run measures itself on its test sets, before and after training, and shows what changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from transformers import TrainerCallback

from oger.evaluation.backends.base import DEFAULT_BATCH_SIZE, SamplingSettings
from oger.evaluation.job import Job, Result, own_job
from oger.evaluation.runner import run_job
from oger.evaluation.statistics.accuracy import change
from oger.evaluation.statistics.diversity import different_solutions
from oger.evaluation.summary import by_problem, summarize_solutions
from oger.io.objects import NUMBER, read_object
from oger.io.whole import write_json
from oger.recipes.recipe import Recipe
from oger.reporting.prompts import readable_prompt
from oger.reporting.tables import comparison_table, sample_panel
from oger.training.config import OGERConfig
from oger.training.run.build import outcome_function
from oger.training.run.faults import EVALUATION, one_line_faults
from oger.training.run.parts import BEFORE, TRAINING, Parts
from oger.training.run.ranks import by_owner
from oger.training.run.shared_evaluation import leanly, rows_at_once, run_shared, whole_policy
from oger.training.trainer import OGERTrainer
from oger.worlds.world import strategy_rule

Tests = Mapping[str, Sequence[Mapping[str, Any]]]
"""Name -> rows of each test set."""

MOST_SOLUTIONS = 3
"""Of the problem that is shown."""


def evaluate(
    recipe: Recipe,
    args: OGERConfig,
    policy: tuple[Any, Any],
    rows: Sequence[Mapping[str, Any]],
    *,
    num_samples: int,
    seed: int,
    batch_size: int = DEFAULT_BATCH_SIZE,
    run: Callable[[Job], Result] = run_job,
) -> Result:
    """A policy (model, tokenizer) on problems, asked and graded as the recipe says; `args` are its `run_options`."""
    job = own_job(
        recipe.name,
        rows,
        *policy,
        reward=outcome_function(recipe),
        num_samples=num_samples,
        sampling=SamplingSettings(recipe.eval_temperature, 1.0, args.max_completion_length, seed),
        batch_size=batch_size,
        chat_template_kwargs=args.chat_template_kwargs,
    )
    with leanly(policy[0], args):
        return run(job)


def evaluate_now(recipe: Recipe, trainer: OGERTrainer, tests: Tests, when: str, console: Console) -> dict[str, Result]:
    """The policy as it is on every test set; every process must call it, and gets all results.

    Raises:
        RunFaultError: memory, or a vLLM server, ends it.
    """
    args, results = trainer.args, {}
    is_main = trainer.accelerator.is_main_process
    for name, rows in tests.items():
        shown = console.status(Text(f"evaluating {name} {when} training")) if is_main else nullcontext()
        with shown, one_line_faults(trainer, EVALUATION), whole_policy(trainer) as policy:
            results[name] = evaluate(
                recipe, args, (policy, trainer.processing_class), rows, num_samples=recipe.eval_samples,
                seed=args.seed, batch_size=rows_at_once(trainer), run=lambda job: run_shared(job, trainer),
            )  # fmt: skip
    return results


class EvaluationBefore(TrainerCallback):
    """What the untrained policy does on the test sets: stored, so that a resumed run reads it.

    One process measures it at once, several when the training begins, since only then they hold their parts of it. What
    is stored and damaged is measured again, while the policy is still the untrained one.

    Args:
        recipe, trainer, tests, console: as of `evaluate_now`.
    """

    def __init__(
        self, path: Path, recipe: Recipe, trainer: OGERTrainer, tests: Tests, console: Console, parts: Parts
    ) -> None:
        self._path, self._parts = path, parts
        self._given = recipe, trainer, tests, "before", console
        self.entries: dict[str, dict[str, Any]] = by_owner(lambda: _stored(path, tests) or {})
        """Name -> {"summary"; of each problem "correct" samples, "outcomes" and "texts" of the first one}; empty until
        it is measured, and where a resumed run of several processes finds none."""
        if trainer.accelerator.num_processes == 1 and not self.entries:
            self._measure()
        parts.end(BEFORE)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Before the first step, on every process."""
        if state.global_step == 0 and not self.entries:
            self._parts.end(TRAINING)
            self._measure()
            self._parts.end(BEFORE)

    def _measure(self) -> None:
        recipe, trainer, *_ = self._given
        for name, result in evaluate_now(*self._given).items():
            first = [samples[0] for samples in by_problem(result.responses).values()]
            self.entries[name] = {
                "summary": numbers(recipe, name, result),
                "correct": correct_samples(result),
                "outcomes": [response.outcome for response in first],
                "texts": [response.text for response in first],
            }
        if self.entries and trainer.accelerator.is_main_process:
            write_json(self._path, self.entries)


def _stored(path: Path, tests: Tests) -> dict[str, dict[str, Any]] | None:
    """What a file holds, None where that is not one entry for each test set."""
    try:
        before = read_object(path)
        entries = {name: before[name] for name in tests}
        for name, rows in tests.items():
            outcomes, texts = entries[name]["outcomes"], entries[name]["texts"]
            if not isinstance(outcomes, list) or not isinstance(texts, list):
                return None
            counts = entries[name].get("correct")  # an earlier version wrote none
            if counts is not None and not (len(counts) == len(rows) and all(type(count) is int for count in counts)):
                return None
            if not len(outcomes) == len(texts) == len(rows):
                return None
            "".join(texts)  # a TypeError where one is no text
        summaries = {name: dict(entry["summary"]) for name, entry in entries.items()}
        if not all(isinstance(summary["pass@1"], NUMBER) for summary in summaries.values()):
            return None
        comparison_table(summaries, summaries)  # what will be shown of them at the end can be shown
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None
    return entries


def numbers(recipe: Recipe, name: str, result: Result) -> dict[str, Any]:
    """What summary.json says of one test set: accuracy, different correct solutions, ways of solving."""
    rows = [problem.row for problem in result.job.problems]
    return {**result.accuracy, **summarize_solutions(result.responses, rows, strategy_rule(recipe.test.get(name, "")))}


def correct_samples(result: Result) -> list[int]:
    """Of each problem, in their order."""
    return [sum(each.outcome == 1 for each in samples) for samples in by_problem(result.responses).values()]


def changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Result]) -> dict[str, dict[str, Any]]:
    """Test set -> how far training moved pass@1 and pass@8, paired by problem, for summary.json.

    No change of sets whose counts of each problem are not known, as before.json of an earlier version has none.
    """
    found = {}
    for name, result in after.items():
        if name not in before:
            continue
        counts, samples = before[name].get("correct"), result.accuracy["samples"]
        if isinstance(counts, list) and before[name]["summary"].get("samples") == samples:
            found[name] = change(counts, correct_samples(result), samples)
    return found


def show_change(
    console: Console,
    summary: Mapping[str, Any],
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Result],
    tests: Tests,
) -> None:
    """The numbers before and after, and one problem of the first test set as teacher, old and new policy solve it.

    The problem is one whose correct solutions by the new policy differ, if there is one, which the old policy did not
    solve at its first try, if there is one of these, too.
    """
    if not after or not before:
        return
    console.print(comparison_table(summary["before"], summary["after"]))
    name, result = next(iter(after.items()))
    samples_P = list(by_problem(result.responses).values())
    found = [
        different_solutions([response.text for response in samples if response.status == "correct"])[:MOST_SOLUTIONS]
        for samples in samples_P
    ]
    was = before[name]["outcomes"]
    taught = [bool(row.get("teachers")) for row in tests[name]]
    index = max(range(len(found)), key=lambda i: (len(found[i]), taught[i], was[i] == 0))
    row = tests[name][index]
    console.print(
        sample_panel(
            readable_prompt(row["prompt"]),
            teacher=row["teachers"][0]["text"] if taught[index] else None,
            before=before[name]["texts"][index],
            after=found[index] or [samples_P[index][0].text],
        )
    )
