"""`oger doctor`: versions, devices, optional parts and a short self-test; with --data the check of a recipe's data."""

from __future__ import annotations

from typing import Annotated

import typer

from oger.cli.options import OverridesArgument, look_at_files, read_recipe
from oger.terminal.errors import UserError

EXIT_BROKEN = 1


def doctor(
    overrides: OverridesArgument = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="RECIPE", help="Check this recipe's data, and nothing else."),
    ] = None,
) -> None:
    """Show versions and devices, test what every run needs (about 10 s), say what to install. Exit code 1: broken."""
    from oger.terminal.console import Terminal

    console = Terminal()
    if data is not None:
        from oger.planning.doctor_page import print_findings

        recipe = read_recipe(data, overrides)
        look_at_files(recipe)
        from oger.planning.data_check import data_findings

        print_findings(f"data of {data}", data_findings(recipe), console)
        console.print("a run can start from these data", style="green", highlight=False)
        return
    if overrides:
        raise UserError(f"{overrides[0]!r} changes a recipe: name one with --data")
    from oger.planning.doctor import optional_parts, required_versions, self_test
    from oger.planning.doctor_page import print_findings, print_machine
    from oger.runs.environment import environment

    found = environment()
    print_machine(found, console)
    broken = []
    for title, findings in (
        ("required packages", required_versions(found["packages"])),
        ("optional packages", optional_parts()),
        ("self-test", self_test()),
    ):
        broken += [finding.name for finding in print_findings(title, findings, console) if finding.fails]
    if broken:
        console.print(f"broken: {', '.join(broken)}", style="bold red", highlight=False)
        raise typer.Exit(EXIT_BROKEN)
    console.print("everything that a run needs works", style="green", highlight=False)
