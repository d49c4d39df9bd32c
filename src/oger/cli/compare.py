"""`oger compare`: run a study, or make its tables again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oger.cli.options import can_be_written, finite
from oger.terminal.errors import UserError
from oger.terminal.plain import say

EXIT_FAILED_CELLS = 1


def compare(
    study: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="What is compared; see docs/compare.md.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Folder of the study; default: studies/NAME.", callback=can_be_written
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Cells at once; default: one per core, one with a GPU.")
    ] = None,
    nice: Annotated[int, typer.Option("--nice", min=0, max=19, help="Niceness of the cells' processes.")] = 0,
    limit_hours: Annotated[
        float | None, typer.Option("--limit-hours", min=0.0, help="Start no cell after so many hours.", callback=finite)
    ] = None,
    tables: Annotated[
        bool, typer.Option("--tables", help="Make tables and figures from the stored results; run nothing.")
    ] = False,
) -> None:
    """Compare methods: train and measure every cell of a study that is missing, then make tables and figures."""
    from oger.study.plan import load_study
    from oger.study.report import write_tables
    from oger.terminal.console import Terminal

    plan = load_study(study)
    folder = out or Path("studies") / plan.name
    console = Terminal()
    if tables:
        for option, given in (("--workers", workers), ("--limit-hours", limit_hours), ("--nice", nice or None)):
            if given is not None:
                raise UserError(f"{option} has no effect with --tables")
        _say_written(write_tables(plan, folder, say, _note))
        return

    import torch

    from oger.io.processes import available_cores
    from oger.study.run import RunOptions, run_study

    at_once = workers or (1 if torch.cuda.is_available() else available_cores())
    typed = {"--out": out, "--workers": workers, "--nice": nice or None, "--limit-hours": limit_hours}
    words = [f"{option} {value}" for option, value in typed.items() if value is not None]
    command = " ".join(["oger compare", str(study), *words])
    options = RunOptions(folder, command, at_once, nice, limit_hours)
    outcome = run_study(plan, options, console)
    if outcome.stored:
        _say_written(write_tables(plan, folder, say, _note))
    for name, lines in outcome.failed.items():
        say(f"failed: {name}: {lines}", err=True)
    if outcome.failed:
        raise typer.Exit(EXIT_FAILED_CELLS)


def _note(line: str) -> None:
    say(f"note: {line}", err=True)


def _say_written(written: list[Path]) -> None:
    for path in written:
        say(str(path))
