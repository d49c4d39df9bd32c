"""`oger evaluate`: accuracy of a policy with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oger.cli.options import BodyOption, CheckpointOption, SeedOption, can_be_written, finite, parsed_body
from oger.terminal.errors import UserError
from oger.terminal.plain import say

if TYPE_CHECKING:
    from oger.recipes import Recipe
    from oger.runs.policy import PolicyLocation
    from oger.terminal.bar import Bar

_ONLY_WITH_BENCHMARKS = (
    "top_p", "data_dir", "columns", "rules", "unfinished", "backend", "endpoint", "api_key_env", "concurrency", "body",
    "prompt_style", "system", "shuffle_seed", "table_format", "reference", "dry_run", "by", "processes",
)  # fmt: skip


def evaluate(
    context: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN_OR_MODEL]...",
            help="Run folders (also RUN@best, RUN@STEP), model folders, hub ids, world:NAME, models at --endpoint; "
            "NAME=RUN,RUN is one system with a run per seed.",
        ),
    ] = None,
    checkpoint: CheckpointOption = "last",
    data: Annotated[
        str | None, typer.Option("--data", metavar="SOURCE", help="Problems; default: the run's test sets.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Samples per problem.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Problems per set.")] = None,
    seed: SeedOption = 0,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0.0, callback=finite)] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Length limit of a response.")] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Responses generated at once.")] = 256,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="With --benchmarks the folder of responses (default: evaluations); else a JSON file.",
            callback=can_be_written,
        ),
    ] = None,
    benchmarks: Annotated[
        str | None,
        typer.Option("--benchmarks", metavar="NAMES", help="math, ood, aime24, ..., FILE.yaml, FILE.jsonl, world:..."),
    ] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", min=0.0, max=1.0, callback=finite)] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Folder with NAME.jsonl or NAME.parquet of benchmarks.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="FIELD=COLUMN,...", help="Of a .jsonl or .parquet benchmark.")
    ] = None,
    rules: Annotated[
        str | None, typer.Option("--rules", metavar="RULES", help="Where the answer stands: after_think,last_boxed")
    ] = None,
    unfinished: Annotated[
        str | None,
        typer.Option(
            "--unfinished",
            metavar="wrong|graded",
            help="Responses that were cut or refused: wrong whatever they hold (default), or graded by their text.",
        ),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option("--kinds", metavar="NAMES", help="Your own kinds that rows may name: package.module:function,..."),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="COLUMN,...", help="Also the accuracy within each value of these.")
    ] = None,
    backend: Annotated[str, typer.Option("--backend", metavar="transformers|continuous|vllm")] = "transformers",
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Processes that share the batches, a GPU each where there are.")
    ] = 1,
    endpoint: Annotated[
        str | None, typer.Option("--endpoint", metavar="URL", help="Targets are models of this OpenAI-compatible API.")
    ] = None,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="VARIABLE", help="Environment variable with the API key.")
    ] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Requests at once.")] = 16,
    body: BodyOption = "{}",
    prompt_style: Annotated[
        str, typer.Option("--prompt-style", metavar="auto|chat|text", help="auto: as in training.")
    ] = "auto",
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="System message of a chat.")] = None,
    shuffle_seed: Annotated[int, typer.Option("--shuffle-seed", min=0, help="Of multiple-choice options.")] = 0,
    table_format: Annotated[str, typer.Option("--format", metavar="plain|markdown|latex")] = "plain",
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="NAME", help="Differences are to this one; default: the first.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be drawn, draw nothing.")] = False,
    regrade: Annotated[
        Path | None, typer.Option("--regrade", metavar="OUT", help="Verify stored responses again; draws nothing.")
    ] = None,
) -> None:
    """Measure policies: on a run's own test sets, or with --benchmarks several policies on several benchmarks."""
    if regrade is not None:
        from oger.cli.benchmarks import regrade as regrade_stored

        others = tuple(name for name in context.params if name not in ("regrade", "rules", "kinds", "unfinished"))
        _refuse(context, others, "has no effect with --regrade")
        regrade_stored(regrade, _listed(rules) or None, _listed(kinds), unfinished)
        return
    if not targets:
        raise UserError("name a run folder or a model")
    if benchmarks is None:
        _refuse(context, _ONLY_WITH_BENCHMARKS, "needs --benchmarks")
        if len(targets) > 1:
            raise UserError("several policies are compared on benchmarks: add --benchmarks")
        asked = {"num_samples": samples, "max_new_tokens": max_tokens, "temperature": temperature}
        rest = {"batch_size": batch_size, "seed": seed}
        evaluate_own_sets(targets[0], checkpoint, data, limit, out, _listed(kinds), {**asked, **rest})
        return
    _refuse(context, ("data",), "cannot go with --benchmarks: name the file there")

    from oger.cli.benchmarks import DEFAULT_OUT, evaluate_benchmarks
    from oger.io.secrets import api_key
    from oger.runs.policy import Asking, endpoint_policy, local_policy, split_systems
    from oger.terminal.grid import FORMATS
    from oger.words import one_of

    one_of(FORMATS, table_format, "format")
    asking = Asking(checkpoint, backend, batch_size, prompt_style, system, processes)
    _check_combination(context, endpoint, backend, prompt_style)
    key, fields = api_key(api_key_env), parsed_body(body)
    systems = {
        name: [
            endpoint_policy(target, endpoint, key, concurrency, asking, fields)
            if endpoint
            else local_policy(target, asking)
            for target in members
        ]
        for name, members in split_systems(targets).items()
    }
    evaluate_benchmarks(
        systems,
        _listed(benchmarks),
        out or DEFAULT_OUT,
        columns=_mapping(columns),
        rows={
            "data_dir": data_dir,
            "limit": limit,
            "shuffle_seed": shuffle_seed,
            "by": _listed(by),
            "kinds": _listed(kinds),
        },
        protocol={
            "seed": seed,
            "samples": samples,
            "temperature": temperature,
            "top_p": top_p,
            "max_tokens": max_tokens,
            "rules": _listed(rules),
            "unfinished": unfinished or "wrong",
        },
        form=table_format,
        reference=reference,
        dry=dry_run,
    )


def evaluate_own_sets(
    target: str,
    checkpoint: str,
    data: str | None,
    limit: int | None,
    out: Path | None,
    kinds: list[str],
    asked: Mapping[str, Any],
) -> None:
    """One policy on its own test sets, drawn as training's own evaluations are: pass@1 and pass@8, by family.

    Args:
        asked: num_samples, max_new_tokens, temperature (None = the recipe's), batch_size and seed.
    """
    from oger.io.rows import load_rows
    from oger.io.whole import check_place, write_json
    from oger.runs.policy import load_policy, locate_target, max_new_tokens

    if out is not None:
        if out.exists():
            raise UserError(f"{out} exists already; name another file")
        check_place(out)
    location = locate_target(target, checkpoint)
    recipe = location.recipe
    limit = limit if limit is not None or recipe is None else recipe.eval_limit
    sources = _sources(location, data)
    sets: dict[str, Sequence[Mapping[str, Any]]] = {name: load_rows(source, limit) for name, source in sources.items()}

    from oger.evaluation.backends.base import SamplingSettings
    from oger.evaluation.job import checked_rows, own_job
    from oger.evaluation.runner import run_job
    from oger.reporting.tables import summary_table
    from oger.terminal.bar import Bars
    from oger.terminal.console import Terminal

    usual: dict[str, Any] = {
        "num_samples": recipe.eval_samples if recipe else 8,
        "max_new_tokens": max_new_tokens(location),
        "temperature": recipe.eval_temperature if recipe else 1.0,
    }
    options = {name: usual[name] if value is None else value for name, value in asked.items()}
    if recipe is not None:
        recipe = replace(recipe, kinds=(*recipe.kinds, *kinds))
    reward = _reward(recipe, kinds)
    sets = {name: checked_rows(rows, reward, sources[name]) for name, rows in sets.items()}
    for name, rows in sets.items():
        _probe(name, rows, recipe, kinds)
    model, tokenizer = load_policy(location)
    sampling = SamplingSettings(options["temperature"], 1.0, options["max_new_tokens"], options["seed"])
    results: dict[str, dict[str, Any]] = {}
    families: dict[str, dict[str, Any]] = {}
    for name, rows in sets.items():
        job = own_job(
            name,
            rows,
            model,
            tokenizer,
            reward=reward,
            num_samples=options["num_samples"],
            sampling=sampling,
            batch_size=options["batch_size"],
            chat_template_kwargs=recipe.training.get("chat_template_kwargs") if recipe else None,
        )
        with Bars("title", "bar", "count", "left", transient=True) as bars:
            bar = bars.add(name)
            result = run_job(job, partial(_show, bar))
        results[name] = result.accuracy
        families |= {f"{name}: {family}": numbers for family, numbers in result.accuracy_by_family().items()}
    console = Terminal()
    console.print(summary_table(results, title=location.label))
    if len(families) > len(results):
        console.print(summary_table(families, title="by family"))
    if out is not None:
        report = {"policy": location.label, **options, "sets": results, "families": families}
        write_json(out, report)


def _show(bar: Bar, done: int, total: int) -> None:
    bar.update(completed=done, total=total)


def _reward(recipe: Recipe | None, kinds: list[str]) -> Any:
    """What grades a run's own sets in training, or a policy of no run."""
    if recipe is None:
        from oger.verification import DEFAULT_RULES, accuracy_with

        return accuracy_with(DEFAULT_RULES, kinds=kinds)
    from oger.training.run.build import outcome_function

    return outcome_function(recipe)


def _probe(name: str, rows: Sequence[Mapping[str, Any]], recipe: Recipe | None, kinds: list[str]) -> None:
    """What training checks and says before its first step; a reward function of the user's is not known to it."""
    from oger.verification import probe_rows
    from oger.verification.self_test import gold_line

    if recipe is not None and "accuracy" not in recipe.rewards:
        return
    if (line := gold_line(rows)) is not None:
        say(f"{name}: {line}")
    if recipe is None:
        probe_rows(rows, kinds=kinds)
    else:
        probe_rows(rows, rules=recipe.answer_rules, timeout_s=recipe.verify_timeout, kinds=recipe.kinds)


def _sources(location: PolicyLocation, data: str | None) -> dict[str, str]:
    """Set name -> source: --data, else the run's test sets, else those of the policy's world."""
    if data is not None:
        return {data: data}
    if location.recipe is not None and location.recipe.test:
        return dict(location.recipe.test)
    if location.world is not None:
        return {"id": f"world:{location.world}/test", "ood": f"world:{location.world}/ood"}
    raise UserError(f"{location.label} names no test set: add --data SOURCE")


def _refuse(context: typer.Context, names: tuple[str, ...], why: str) -> None:
    """Raises UserError if one of these was given."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            written = {"table_format": "--format", "targets": "RUN_OR_MODEL"}
            raise UserError(f"{written.get(name, '--' + name.replace('_', '-'))} {why}")


def _check_combination(context: typer.Context, endpoint: str | None, backend: str, prompt_style: str) -> None:
    """Raises UserError if an option that was given has no effect."""
    if endpoint is None:
        _refuse(context, ("api_key_env", "concurrency", "body"), "needs --endpoint")
    else:
        _refuse(context, ("backend", "checkpoint", "batch_size", "processes"), "has no effect with --endpoint")
    if backend == "vllm":
        _refuse(context, ("batch_size",), "has no effect with --backend vllm")
    if backend != "transformers":
        _refuse(context, ("processes",), f"has no effect with --backend {backend}")
    if prompt_style == "text":
        _refuse(context, ("system",), "belongs to a chat, not to --prompt-style text")


def _listed(text: str | None) -> list[str]:
    """The parts of a comma-separated list."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _mapping(text: str | None) -> dict[str, str]:
    """ "prompt=question,answer=gold" as a mapping."""
    pairs = [part.partition("=") for part in _listed(text)]
    for key, equals, value in pairs:
        if not (key and equals and value):
            raise UserError(f"--columns is written FIELD=COLUMN,FIELD=COLUMN, got {text!r}")
    return {key: value for key, _, value in pairs}
