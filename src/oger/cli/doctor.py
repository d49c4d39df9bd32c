"""`oger doctor`: versions, devices, optional parts and a short self-test."""

from __future__ import annotations

import typer

EXIT_BROKEN = 1


def doctor() -> None:
    """Show versions and devices, test what every run needs (about 10 s), say what to install. Exit code 1: broken."""
    from oger.planning.doctor import optional_parts, required_versions, self_test
    from oger.planning.doctor_page import print_findings, print_machine
    from oger.runs.environment import environment
    from oger.terminal.console import Terminal

    console = Terminal()
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
