"""The figure of `benchmarks.step_time`: where the time of a step goes, stock GRPO and OGER side by side."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.step_time_laps import OGER, STAGES, STOCK, Lap

_STYLE = {"svg.hashsalt": "oger", "svg.fonttype": "none", "font.size": 9}
_COLORS = mpl.color_sequences["tab10"]


def shares(laps: Mapping[str, Sequence[Lap]]) -> dict[str, dict[str, float]]:
    """Variant -> stage -> its median seconds over the median seconds of stock GRPO's step."""
    whole = statistics.median(lap.seconds for lap in laps[STOCK])
    return {
        variant: {stage: statistics.median(lap.stages[stage] for lap in laps[variant]) / whole for stage in STAGES}
        for variant in (STOCK, OGER)
    }


def draw(collected: Mapping[str, Mapping[str, Sequence[Lap]]], path: Path) -> None:
    """Two stacked bars per workload, in units of stock GRPO's step; the file name's ending says the format."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.5 + 1.5 * len(collected), 3.6), layout="constrained")
        axes = figure.add_subplot()
        ticks: list[tuple[float, str]] = []
        for place, (workload, laps) in enumerate(collected.items()):
            for side, (variant, stages) in enumerate(shares(laps).items()):
                x, bottom = place + (side - 0.5) * 0.42, 0.0
                for stage, color in zip(STAGES, _COLORS, strict=False):
                    label = stage if not ticks else None
                    axes.bar(x, stages[stage], 0.38, bottom=bottom, color=color, label=label)
                    bottom += stages[stage]
                ticks.append((x, variant.split()[0]))
            axes.text(place, -0.13, workload, ha="center", va="top", transform=axes.get_xaxis_transform())
        axes.set_xticks([x for x, _ in ticks], [name for _, name in ticks], fontsize=7)
        axes.set_ylabel("time of a step, stock GRPO = 1")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=len(STAGES), frameon=False, fontsize=8)
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)
