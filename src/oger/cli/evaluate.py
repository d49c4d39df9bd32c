"""`oger evaluate`: accuracy of a policy with its interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oger.cli.errors import UserError
from oger.cli.options import CheckpointOption, SeedOption, TargetArgument

if TYPE_CHECKING:
    from oger.cli.policy import PolicyLocation


def evaluate(
    target: TargetArgument,
    checkpoint: CheckpointOption = "last",
    data: Annotated[
        str | None, typer.Option("--data", metavar="SOURCE", help="Problems; default: the run's test sets.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Samples per problem.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Problems per set.")] = None,
    seed: SeedOption = 0,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0.0)] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Length limit of a response.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Responses generated at once.")] = 256,
    out: Annotated[Path | None, typer.Option("--out", help="Also write the numbers to this JSON file.")] = None,
) -> None:
    """Measure pass@1 (with its 95 % interval) and pass@8 of a policy."""
    from rich.console import Console

    from oger.cli.policy import load_policy, locate_policy, max_new_tokens
    from oger.recipes.sources import load_rows

    if out is not None and out.exists():
        raise UserError(f"{out} exists already; name another file")
    location = locate_policy(target, checkpoint)
    recipe = location.recipe
    limit = limit if limit is not None or recipe is None else recipe.eval_limit
    sets = {name: load_rows(source, limit) for name, source in _sources(location, data).items()}

    from oger.evaluation.evaluate import evaluate_policy
    from oger.reporting.tables import summary_table

    options: dict[str, Any] = {
        "num_samples": samples or (recipe.eval_samples if recipe else 8),
        "max_new_tokens": max_tokens or max_new_tokens(location),
        "temperature": temperature if temperature is not None else (recipe.eval_temperature if recipe else 1.0),
        "batch_size": batch_size,
        "seed": seed,
    }
    reward: dict[str, Any] = {}
    if recipe is not None:
        from oger.training.build import outcome_function

        reward["outcome_reward"] = outcome_function(recipe)
    model, tokenizer = load_policy(location)
    results: dict[str, dict[str, Any]] = {}
    families: dict[str, dict[str, Any]] = {}
    for name, rows in sets.items():
        with _ProgressBar(name) as progress:
            evaluation = evaluate_policy(model, tokenizer, rows, progress=progress, **reward, **options)
        results[name] = evaluation.summary()
        families |= {f"{name}: {family}": numbers for family, numbers in evaluation.summary_by_family().items()}
    console = Console()
    console.print(summary_table(results, title=location.label))
    if len(families) > len(results):
        console.print(summary_table(families, title="by family"))
    if out is not None:
        report = {"policy": location.label, **options, "sets": results, "families": families}
        out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _sources(location: PolicyLocation, data: str | None) -> dict[str, str]:
    """Set name -> source: --data, else the run's test sets, else those of the policy's world."""
    if data is not None:
        return {data: data}
    if location.recipe is not None and location.recipe.test:
        return dict(location.recipe.test)
    if location.world is not None:
        return {"id": f"world:{location.world}/test", "ood": f"world:{location.world}/ood"}
    raise UserError(f"{location.label} names no test set: add --data SOURCE")


class _ProgressBar:
    """A progress bar on standard error, as a context that gives the callback of `evaluate_policy`."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(title, total=None)

    def __enter__(self) -> Any:
        self._bar.start()
        return lambda done, total: self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
