"""What the study's file says of its methods, and what became of it, on a terminal."""

from __future__ import annotations

from oger.study.analysis import Analysis
from oger.study.tables import SAID
from oger.terminal.grid import render


def claims_at_a_glance(analysis: Analysis) -> str:
    """What became of each claim in each place; empty without claims."""
    found = analysis.findings
    places = list(dict.fromkeys((one.place.regime, one.place.split) for one in found))
    verdicts: dict[tuple[str, str], dict[tuple[str, str], str]] = {}
    for one in found:
        said = f"{one.claim.method} {SAID[one.claim.direction]} {one.claim.other}"
        verdicts.setdefault((said, one.claim.metric), {})[(one.place.regime, one.place.split)] = one.verdict
    grid = [["claim", "metric", *map(", ".join, places)]]
    grid += [[*row, *(by_place.get(place, "-") for place in places)] for row, by_place in verdicts.items()]
    note = f"claims of the study's file, at 5 %, adjusted by Holm's method for all {len(found)} verdicts"
    return f"{render(grid, 'plain')}\n{note}" if found else ""
