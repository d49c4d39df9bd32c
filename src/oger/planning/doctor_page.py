"""What the doctor found, as text; each line appears as soon as it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from oger.planning.doctor import Finding

_STYLES = {"ok": "green", "missing": "yellow", "warning": "yellow", "broken": "red"}


def print_machine(found: Mapping[str, Any], console: Console) -> None:
    """Print what `oger.runs.environment.environment` found of this machine."""
    commit = f", commit {found['source_commit']}" if found["source_commit"] else ""
    console.print(f"oger {found['oger']}{commit}, Python {found['python']}", highlight=False, soft_wrap=True)
    console.print(f"{found['cpu_count']} CPU cores, {found['torch_threads']} threads for torch", highlight=False)
    for device in found["devices"]:
        console.print(f"{device['name']}, {device['memory_bytes'] / 2**30:.1f} GiB", highlight=False)
    if not found["devices"]:
        console.print("no CUDA device: training runs on the CPU", highlight=False)


def print_findings(title: str, findings: Iterable[Finding], console: Console) -> list[Finding]:
    """Print findings one by one and return them."""
    console.print(f"\n{title}", style="bold", highlight=False)
    printed = []
    for finding in findings:
        line = Text.assemble(f"  {finding.name:<22}", (f"{finding.status:<8}", _STYLES[finding.status]), finding.detail)
        console.print(line, soft_wrap=True, highlight=False)
        printed.append(finding)
    return printed
