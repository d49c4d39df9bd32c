"""`oger inspect`: does an encoder tell a table's trajectories apart?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from oger.terminal.errors import UserError
from oger.terminal.plain import say


def inspect(
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="A curated folder or file, world:NAME/SPLIT, or a data set.")
    ],
    encoder: Annotated[str, typer.Option("--encoder", metavar="SPEC", help="As in a recipe.")] = "ngram",
    part: Annotated[str, typer.Option("--part", help="full, reasoning, final or equations.")] = "full",
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="Option of the encoder.")
    ] = None,
    aggregation: Annotated[str, typer.Option("--aggregation", help="mean, max or min over the teachers.")] = "mean",
    policy: Annotated[
        str | None,
        typer.Option("--policy", metavar="MODEL", help="Sample it: can the reward act on it?"),
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=2, help="Rollouts per prompt, with --policy.")] = 8,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Longest rollout, with --policy.")] = 1024,
    rule: Annotated[
        list[str] | None, typer.Option("--rule", metavar="NAME", help="Answer rule of the rollouts, may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Prompts that are read.")] = 500,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the rollouts.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Also write inspection.json and inspection.png there.")
    ] = None,
) -> None:
    """Show how alike the teachers look to an encoder, whether D saturates, and which scale would not."""
    from oger.io import yaml as yaml_dialect
    from oger.io.rows import load_rows
    from oger.io.whole import check_place, whole_folder, write_json
    from oger.terminal.console import Terminal

    if out is not None:
        if out.exists():
            raise UserError(f"{out} exists already; name another folder")
        check_place(out, makes_folders=True)
    options: dict[str, Any] = {}
    for pair in option or []:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise UserError(f"--option {pair!r} is not of the form KEY=VALUE")
        options[key] = yaml_dialect.load(value)

    from oger.encoders import check_spec, create_encoder, resolve_spec
    from oger.reporting.inspection import inspect_table
    from oger.reporting.inspection_view import draw_inspection, inspection_numbers, inspection_tables

    check_spec(encoder, part=part, **options)
    rows = load_rows(table, limit)
    rollouts, source, acts = None, None, None
    if policy is not None:
        from oger.evaluation.backends.base import SamplingSettings
        from oger.evaluation.job import own_job
        from oger.evaluation.runner import run_job
        from oger.evaluation.summary import by_problem
        from oger.reporting.inspection_policy import inspect_policy
        from oger.runs.policy import load_policy, locate_target
        from oger.verification.formats import DEFAULT_RULES
        from oger.verification.rewards import accuracy_with

        location = locate_target(policy)
        source = location.source
        loaded = load_policy(location)
        settings = SamplingSettings(1.0, 1.0, max_tokens, seed)
        reward = accuracy_with(rule or DEFAULT_RULES)
        job = own_job(policy, rows, *loaded, reward=reward, num_samples=samples, sampling=settings)
        graded = list(by_problem(run_job(job).responses).values())
        rollouts = [[response.text for response in group] for group in graded]
    made = create_encoder(resolve_spec(encoder, source), part=part, **options)
    found = inspect_table(rows, made, rollouts=rollouts, aggregation=aggregation)
    if rollouts is not None:
        outcomes = [[response.outcome for response in group] for group in graded]
        acts = inspect_policy(rows, loaded, made, rollouts, outcomes, aggregation=aggregation)
    title = f"{table}, {encoder}" + ("" if part == "full" else f", {part}")
    Terminal().print(inspection_tables(found, title, acts))
    if out is not None:
        asked = {"table": table, "encoder": encoder, "part": part, "policy": policy}
        with whole_folder(out) as beside:
            write_json(beside / "inspection.json", {**asked, **inspection_numbers(found, acts)})
            draw_inspection(found, beside / "inspection.png", title)
        say(f"{out}: inspection.json, inspection.png")
