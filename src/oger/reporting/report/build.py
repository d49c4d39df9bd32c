"""From run folders to the page."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import oger
from oger.reporting.report.browser import TEXT_BUDGET, browser_groups
from oger.reporting.report.curves import curves, families, panels
from oger.reporting.report.facts import alarms, cost, differences, flat, headline
from oger.reporting.report.page import is_report, render_page, write_page
from oger.reporting.report.probe_map import probe_map
from oger.reporting.report.run_folder import RunFolder, labels, read_run
from oger.reporting.report.spread import bonus_against_length, histograms
from oger.reporting.report.stored import index_groups
from oger.reporting.report.stored_map import Table, stored_map
from oger.runs import paths

GROUPS = 48
"""Groups of each run that the page shows, unless told otherwise."""


def build_report(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    groups: int = GROUPS,
    force: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Write one self-contained HTML page about `runs` to `out`.

    Args:
        runs: Run folders, finished or not.
        out: The file to make.
        groups: Most groups of each run in the group browser.
        force: Replace `out` where it is a report; any other file is never replaced.
        progress: Hears what is being done.

    Returns:
        One line for each thing that was missing or damaged, as the page says them too.

    Raises:
        IsADirectoryError: `out` is a folder.
        FileExistsError: `out` exists, and `force` was not asked for or it is no report.
        FileNotFoundError: a run folder does not exist.
        ValueError: no run, a folder that is not a run's, one given twice, or fewer than one group.
    """
    out = Path(out)
    check_out(out, force)
    data, problems = report_data(runs, groups=groups, progress=progress)
    progress(f"writing {out}")
    write_page(render_page(data, title_of(data)), out)
    return problems


def report_data(
    runs: Sequence[str | os.PathLike[str]], *, groups: int = GROUPS, progress: Callable[[str], None] = lambda line: None
) -> tuple[dict[str, Any], list[str]]:
    """What the page about `runs` shows, and one line for each thing that was missing or damaged.

    Raises:
        FileNotFoundError, ValueError: as `build_report`.
    """
    if not runs:
        raise ValueError("name at least one run folder")
    if groups < 1:
        raise ValueError(f"groups must be at least 1, got {groups}")
    places = [Path(run) for run in runs]
    folders = [read_run(place, label) for place, label in zip(places, labels(places), strict=True)]
    entries = []
    tables: dict[str, Table] = {}
    for run in folders:
        progress(f"reading {run.label}")
        entries.append(_entry(run, groups, TEXT_BUDGET // len(folders), tables))
    data = {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "oger": oger.__version__,
        "panels": panels(folders),
        "families": families(folders),
        "groups_cap": groups,
        "runs": entries,
        "config_differences": differences([entry["config"] for entry in entries]),
        "environment_differences": differences([entry["environment"] for entry in entries]),
    }
    return data, [f"{run.label}: {line}" for run in folders for line in run.problems]


def title_of(data: Mapping[str, Any]) -> str:
    """Of the page about these data."""
    return ", ".join(run["label"] for run in data["runs"])


def _entry(run: RunFolder, groups: int, budget: int, tables: dict[str, Table]) -> dict[str, Any]:
    stored, points = index_groups(run)

    def part(what: str, make: Callable[[], Any], empty: Any) -> Any:
        """A part of the page, which costs no other one."""
        made = empty
        with run.reading(what):
            made = make()
        return made

    entry = {
        "label": run.label,
        "state": run.state,
        "finished": run.finished,
        "headline": headline(run),
        "curves": curves(run),
        "alarms": alarms(run),
        "cost": cost(run),
        "histograms": part("histograms", lambda: histograms(run), []),
        "bonus_length": part("bonus against length", lambda: bonus_against_length(points), bonus_against_length([])),
        "groups": part("groups", lambda: browser_groups(run, stored, count=groups, budget=budget), []),
        "groups_stored": len(stored),
        "map": part("map", lambda: probe_map(run) or stored_map(run, stored, tables), {"about": "", "views": []}),
        "config": flat(run.config),
        "environment": part(paths.ENVIRONMENT, lambda: flat(run.environment), {}),
    }
    return {**entry, "problems": run.problems}  # last, since every part may have added to them


def check_out(out: Path, force: bool) -> None:
    """Refuse to replace a file that is no report, or one that `force` was not asked for.

    Raises:
        FileExistsError: see there.
        IsADirectoryError: it is a folder.
    """
    if not out.exists():
        return
    if out.is_dir():
        raise IsADirectoryError(f"{out} is a folder: name a file in it, such as {out / 'report.html'}")
    if not force:
        raise FileExistsError(f"{out} exists already: name another file, or replace that report with --force")
    if not is_report(out):
        raise FileExistsError(f"{out} was not made by oger report and is not replaced: name another file")
