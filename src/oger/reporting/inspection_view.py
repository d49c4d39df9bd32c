"""What `oger inspect` shows: tables for the terminal, numbers for JSON, histograms as a PNG."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from oger.reporting.inspection import FLAT, NARROW, QUANTILES, Distribution, Inspection
from oger.reporting.inspection_policy import PolicyInspection, sentences
from oger.terminal.console import plain_table

_BINS = 40


def inspection_tables(found: Inspection, title: str, policy: PolicyInspection | None = None) -> RenderableType:
    """Cosines by pair, D by scale, lengths against the window, what a policy makes of the teachers, and the verdict."""
    cosines = _table(f"{title}: cosines of different teachers on one prompt, {found.prompts} prompts", "teachers")
    for name, values in found.cosines.items():
        cosines.add_row(name, *_cells(Distribution.of(values)))
    scales = _table(f"D of {found.rows_are} by scale", "scale", "spread", "at 0 or 1")
    for name, report in found.scales.items():
        style = "bold" if name == found.suggested_scale else ""
        spread = "-" if report.spread is None else f"{report.spread:.3f}"
        extra = spread, f"{100 * report.clipped_share:.1f} %"
        scales.add_row(name, *_cells(report.divergence), *extra, style=style)
    parts: list[RenderableType] = [cosines, scales]
    if found.tokens:
        lengths = _table("Tokens of the encoder", "teacher")
        for name, lengths_of in found.tokens.items():
            lengths.add_row(name, *_cells(lengths_of, "{:.0f}"))
        parts.append(lengths)
    words = [verdict(found)]
    if policy is not None:
        nats = _table("Nats per token under the policy", "texts of")
        for name, nats_of in policy.nats.items():
            nats.add_row(name, *_cells(nats_of))
        parts.append(nats)
        words.append(sentences(policy))
    return Group(*parts, *map(Text, words))


def verdict(found: Inspection) -> str:
    """In words: does D saturate, which scale, what about the window."""
    report = found.scales["one_minus_cosine"]
    if report.spread is not None:
        reason = f"its standard deviation within a prompt (spread) is {report.spread:.3f}; {FLAT} is little"
        state = "saturates" if found.saturated else "tells rows apart"
    else:
        median = report.divergence.quantiles[QUANTILES.index(0.5)]
        reason = f"the median D of the teachers from each other is {median:.3f}; {NARROW} is little"
        state = "is likely to saturate" if found.saturated else "is likely to tell rows apart"
    lines = [f"D with one_minus_cosine {state}: {reason}. Suggested: divergence_scale={found.suggested_scale}."]
    if found.rows_are == "teachers":
        lines.append("Teachers stand in for rollouts here; --policy MODEL measures real ones, by every scale.")
    if found.beyond_window is not None:
        lines.append(f"{100 * found.beyond_window:.1f} % of the trajectories exceed the window and are read in pieces.")
    return " ".join(lines)


def inspection_numbers(found: Inspection, policy: PolicyInspection | None = None) -> dict[str, Any]:
    """Everything but the raw values, for a JSON file."""
    more = {} if policy is None else {"rollouts": {**dataclasses.asdict(policy), "can_act": policy.can_act}}
    return {
        **more,
        "prompts": found.prompts,
        "rows_are": found.rows_are,
        "quantiles": list(QUANTILES),
        "cosines": {name: dataclasses.asdict(Distribution.of(values)) for name, values in found.cosines.items()},
        "scales": {name: dataclasses.asdict(report) for name, report in found.scales.items()},
        "tokens": {name: dataclasses.asdict(lengths) for name, lengths in found.tokens.items()},
        "beyond_window": found.beyond_window,
        "saturated": found.saturated,
        "suggested_scale": found.suggested_scale,
    }


def draw_inspection(found: Inspection, path: Path, title: str) -> None:
    """Histograms of the cosines, by pair of teachers, and of D."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, values in found.cosines.items():
        if name == "all" and len(found.cosines) > 1:
            continue
        left.hist(values.tolist(), bins=_BINS, range=(-0.2, 1.0), histtype="step", linewidth=1.5, label=name)
    left.set_xlabel("cosine of two teachers on one prompt")
    left.set_ylabel("pairs")
    left.legend(fontsize="small", loc="upper left", frameon=False)
    right.hist(found.divergences.tolist(), bins=_BINS, range=(0.0, 1.0), color="tab:orange")
    right.set_xlabel(f"D of {found.rows_are} (one_minus_cosine)")
    right.set_ylabel("rows")
    figure.suptitle(title, fontsize="medium")
    figure.savefig(path, dpi=150)


def _table(title: str, first: str, *more: str) -> Table:
    table = plain_table(title)
    table.add_column(first, overflow="fold")
    names = ["count", "mean", *(f"{100 * quantile:.0f} %" for quantile in QUANTILES), *more]
    for name in names:
        table.add_column(name, justify="right")
    return table


def _cells(values: Distribution, form: str = "{:.3f}") -> list[str]:
    return [str(values.count), *(form.format(value) for value in (values.mean, *values.quantiles))]
