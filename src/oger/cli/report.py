"""`oger report`: one page about one or several runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oger.cli.options import can_be_written
from oger.terminal.plain import say


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, finished or not; or one study, STUDY.yaml.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The HTML file to make.")] = Path(
        "report.html"
    ),
    groups: Annotated[int, typer.Option("--groups", min=1, help="Most groups of each run to show.")] = 48,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it is an earlier report.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Serve the page to this machine while the runs go on; makes no file.")
    ] = False,
) -> None:
    """Make one self-contained HTML page: what changed, curves, groups, map, cost and differences of runs."""
    import os

    if not watch:
        can_be_written(out)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a report is made of what is on the disk

    from rich.text import Text

    from oger.study.page import build_study_page, is_study
    from oger.terminal.errors import UserError

    studies = [path for path in runs if is_study(path)]
    if studies:
        if len(runs) > 1 or watch:
            raise UserError(f"{studies[0]} is a study, which has a page of its own: oger report {studies[0]}")
        results = build_study_page(studies[0], out, force=force)
        say(f"{out}: the study in {results.parent}, {out.stat().st_size / 1e6:.1f} MB; open it in any browser")
        return
    if watch:
        from oger.reporting.report.watch import watch as serve

        serve(runs, groups=groups, say=say)
        return

    from oger.reporting.report import build_report
    from oger.terminal.console import Terminal

    console = Terminal(stderr=True)
    with console.status("reading") as status:
        problems = build_report(runs, out, groups=groups, force=force, progress=lambda line: status.update(Text(line)))
    for line in problems:
        say(f"note: {line}", err=True)
    size = out.stat().st_size / 1e6
    say(f"{out}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {size:.1f} MB; open it in any browser")
