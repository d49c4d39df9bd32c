"""The figures of a study as SVG, byte for byte the same from the same results.

Learning curves, pass@k over k, and differences to the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from oger.io.whole import whole_file
from oger.study.analysis import Analysis
from oger.study.numbers import Standing
from oger.study.plan import BASE

_PANELS = (
    ("validation", "validation accuracy", "generated_tokens", "generated tokens"),
    ("entropy", "entropy (nats)", "step", "step"),
    ("length", "length (tokens)", "step", "step"),
    ("divergence", "divergence from the teachers", "step", "step"),
)
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "oger",  # ids of clip paths: random without it
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_COLORS = mpl.color_sequences["tab20"]
_SMOOTH = 9
"""Steps in the running mean of what is logged at every step."""

Curves = Mapping[int, Sequence[Mapping[str, Any]]]


def draw_figures(analysis: Analysis, folder: Path) -> list[Path]:
    """curves-, pass- and forest-REGIME.svg for every regime with results; returns the files."""
    written = []
    with mpl.rc_context(_STYLE):
        for regime in analysis.study.regimes:
            for name, draw in (("curves", _curves), ("pass", _pass_at_k), ("forest", _forest)):
                if (figure := draw(analysis, regime)) is not None:
                    path = folder / f"{name}-{regime}.svg"
                    with whole_file(path) as beside:
                        figure.savefig(beside, format="svg", metadata={"Date": None, "Creator": None})
                    written.append(path)
    return written


def band(curves: Curves, y: str, x: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(x, mean, lowest, highest) over seeds at the steps that every seed has a value at.

    x is the mean over seeds too: at one step, two seeds have generated different numbers of tokens. A quantity that is
    logged at every step is smoothed by a running mean first.
    """
    known = [{row["step"]: row for row in rows if row[y] is not None} for rows in curves.values()]
    steps = sorted(set.intersection(*(set(rows) for rows in known))) if known else []
    x_RS = np.array([[rows[step][x] for step in steps] for rows in known], dtype=float)
    y_RS = np.array([[rows[step][y] for step in steps] for rows in known], dtype=float)
    if len(steps) > 1 and steps[1] - steps[0] == 1:
        y_RS = np.array([_running_mean(row) for row in y_RS])
    return x_RS.mean(axis=0), y_RS.mean(axis=0), y_RS.min(axis=0), y_RS.max(axis=0)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Centred, over fewer steps at the ends.

    >>> _running_mean(np.array([0.0, 1.0, 2.0]))
    array([1., 1., 1.])
    """
    half = _SMOOTH // 2
    return np.array([values[max(0, place - half) : place + half + 1].mean() for place in range(len(values))])


def _curves(analysis: Analysis, regime: str) -> Figure | None:
    """Mean and range over seeds, of the methods that are not a variation of another."""
    methods = analysis.study.methods
    found = {name: curves for name, curves in analysis.curves(regime).items() if methods[name].like is None}
    if not found:
        return None
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    for axes, (y, label, x, x_label) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        for number, (name, curves) in enumerate(found.items()):
            x_S, mean_S, low_S, high_S = band(curves, y, x)
            color = _color(number)
            if x_S.any():  # nothing to draw, or a method that generates nothing, over the tokens that it generated
                axes.plot(x_S, mean_S, label=name, color=color, linewidth=1.4)
                axes.fill_between(x_S, low_S, high_S, color=color, alpha=0.15, linewidth=0)
        axes.set(xlabel=x_label, ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _legend(figure)
    figure.suptitle(f"{analysis.study.name}, {regime}: mean and range over seeds")
    return figure


def _pass_at_k(analysis: Analysis, regime: str) -> Figure | None:
    """pass@k over k, one panel per split, of the methods that are not a variation of another."""
    methods = analysis.study.methods
    known = [name for name in methods if methods[name].like is None]
    panels = {}
    for place in analysis.places:
        curves = analysis.pass_curves(place) if place.regime == regime else []
        shown = [curve for curve in curves if curve.method in (BASE, *known)]
        if shown:
            panels[place] = shown
    if not panels:
        return None
    figure = Figure(figsize=(0.6 + 4.2 * len(panels), 3.9), layout="constrained")
    for axes, (place, curves) in zip(
        np.atleast_1d(figure.subplots(1, len(panels), sharey=True)), panels.items(), strict=True
    ):
        for curve in curves:
            color = "0.35" if curve.method == BASE else _color(known.index(curve.method))
            k_K, values = np.array(list(curve.values)), list(curve.values.values())
            style = "--" if curve.method == BASE else "-"
            axes.plot(k_K, [100 * v.value for v in values], style, label=curve.method, color=color, linewidth=1.4)
            low_K, high_K = [100 * v.low for v in values], [100 * v.high for v in values]
            axes.fill_between(k_K, low_K, high_K, color=color, alpha=0.1, linewidth=0)
        axes.set_xscale("log", base=2)
        longest = max((list(curve.values) for curve in curves), key=len)
        axes.set_xticks(longest, [str(k) for k in longest])
        axes.set(title=f"{place.split}, {curves[0].problems} problems", xlabel="k", ylabel="pass@k, %")
    _legend(figure)
    figure.suptitle(f"{analysis.study.name}, {regime}: pass@k, 95 % intervals")
    return figure


def _color(number: int) -> Any:
    """The ten strong colours first."""
    return _COLORS[2 * number % 20 + 2 * number // 20 % 2]


def _legend(figure: Figure) -> None:
    drawn: dict[str, Any] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        drawn |= dict(zip(labels, handles, strict=True))
    figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=5, frameon=False)


def _forest(analysis: Analysis, regime: str) -> Figure | None:
    """Paired differences to the reference with their intervals, one panel per split."""
    splits: dict[str, dict[str, list[Standing]]] = {}
    for place in analysis.places:
        if place.regime == regime:
            rows = [row for row in analysis.standings(place) if row.against_reference is not None]
            if rows:
                splits.setdefault(place.split, {})[place.policy] = rows
    if not splits:
        return None
    names = [row.method for row in max((rows for by in splits.values() for rows in by.values()), key=len)]
    size = (3.2 + 3.0 * len(splits), 1.4 + 0.32 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    for axes, (split, policies) in zip(
        np.atleast_1d(figure.subplots(1, len(splits), sharey=True)), splits.items(), strict=True
    ):
        for number, (policy, rows) in enumerate(policies.items()):
            _draw_differences(axes, rows, names, policy, offset=(number - (len(policies) - 1) / 2) * 0.3)
        axes.axvline(0.0, color="0.5", linewidth=0.8)
        axes.set(title=split, xlabel=f"points over {analysis.study.reference}")
    first = figure.axes[0]
    first.set_yticks(range(len(names)), names)
    first.invert_yaxis()
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(f"{analysis.study.name}, {regime}: paired differences, 95 % intervals")
    return figure


def _draw_differences(axes: Axes, rows: Sequence[Standing], names: Sequence[str], policy: str, offset: float) -> None:
    differences = [row.against_reference.difference for row in rows if row.against_reference is not None]
    value = np.array([100 * found.value for found in differences])
    spread = np.array([[100 * (f.value - f.low), 100 * (f.high - f.value)] for f in differences]).T
    places = [names.index(row.method) + offset for row in rows]
    marker = {"last": "o", "best": "D"}[policy]
    color = {"last": "C0", "best": "C2"}[policy]
    axes.errorbar(
        value, places, xerr=spread, fmt=marker, markersize=4, color=color, linewidth=1.2, label=f"{policy} policy"
    )
