"""What the laps of `benchmarks.step_time` amount to: ratios with intervals, shares, a table and a line of JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from rich.table import Table
from scipy.stats import bootstrap

from benchmarks.step_time_laps import LIMITED, OGER, PLAIN, STAGES, STOCK, Lap

_EXTRAS = ("embed", "log-prob/entropy", "other", "generate")


def ratio_with_interval(ours: Sequence[Lap], theirs: Sequence[Lap]) -> tuple[float, tuple[float, float]]:
    """Median over the rounds of our step's seconds by theirs beside it, and its 95 % percentile bootstrap interval.

    Each round is compared with itself, since the speed of a machine that does other things drifts.
    """
    ratios = [our.seconds / their.seconds for our, their in zip(ours, theirs, strict=True)]
    interval = bootstrap(
        (ratios,), np.median, method="percentile", n_resamples=2000, rng=np.random.default_rng(0)
    ).confidence_interval
    return statistics.median(ratios), (float(interval.low), float(interval.high))


def limit_table(title: str, laps: Mapping[str, Sequence[Lap]]) -> Table:
    """Seconds of generation and update, of their matrix products alone, and the one by the other."""
    result = Table(title=title)
    for name in ("", *LIMITED):
        result.add_column(name, justify="right" if name else "left")
    for name, collected in laps.items():
        result.add_row(f"{name}, s", *(f"{_stage(collected, stage):.3f}" for stage in LIMITED))
        result.add_row("  products alone, s", *(_limit(collected, stage) for stage in LIMITED))
    for name in laps:
        result.add_row(f"{name} / products of {OGER}", *(f"{limit_ratios(laps, s)[name]:.3f}" for s in LIMITED))
        result.add_row(f"{name} / its own", *(f"{_own_ratio(laps[name], s):.3f}" for s in LIMITED))
    padding = [f"{name} {100 * (1 - _median(each, _filled)):.1f} %" for name, each in laps.items()]
    result.add_row("padding trained on", "", ", ".join(padding))
    return result


def limit_line(laps: Mapping[str, Sequence[Lap]]) -> dict[str, Any]:
    """The ratios of `limit_table`."""
    return {
        stage: {
            **{name: round(value, 3) for name, value in limit_ratios(laps, stage).items()},
            "stock_by_its_own": round(_own_ratio(laps[STOCK], stage), 3),
        }
        for stage in LIMITED
    }


def _own_ratio(laps: Sequence[Lap], stage: str) -> float:
    return statistics.median(lap.stages[stage] / lap.limits[stage] for lap in laps)


def _filled(lap: Lap) -> float:
    return lap.trained_tokens / lap.trained_positions


def limit_ratios(laps: Mapping[str, Sequence[Lap]], stage: str) -> dict[str, float]:
    """Each variant's seconds of a stage by those of the matrix products alone of OGER's: medians over the rounds."""
    return {
        name: statistics.median(
            lap.stages[stage] / oger.limits[stage] for lap, oger in zip(collected, laps[OGER], strict=True)
        )
        for name, collected in laps.items()
    }


def extras_shares(laps: Mapping[str, Sequence[Lap]]) -> dict[str, float]:
    """Shares of OGER's step that go into what stock GRPO does not do, by the clock: medians over the rounds.

    Embedding, log-probs and entropies without gradient, and everything between the stages, above what stock GRPO spends
    on them; and what generation takes longer than with the extras off (entropies that are recorded on the way). What
    the objective adds inside the update is not told apart here; the ratio of the steps has it.
    """
    rounds = list(zip(laps[OGER], laps[STOCK], laps[PLAIN], strict=True))

    def share(stage: str) -> float:
        return statistics.median(
            (oger.stages[stage] - (plain if stage == "generate" else stock).stages[stage]) / oger.seconds
            for oger, stock, plain in rounds
        )

    return {stage: share(stage) for stage in _EXTRAS}


def json_line(workload: str, laps: Mapping[str, Sequence[Lap]], peaks: Mapping[str, int]) -> dict[str, Any]:
    """The numbers that the targets are about. `peaks` are bytes."""
    ratio, interval = ratio_with_interval(laps[OGER], laps[STOCK])
    return {
        "workload": workload,
        "ratio": round(ratio, 4),
        "ratio_ci95": [round(bound, 4) for bound in interval],
        "extras_share": round(sum(extras_shares(laps).values()), 4),
        "peak_memory_ratio": round(peaks[OGER] / peaks[STOCK], 4),
        **({"over_products": limit_line(laps)} if all(lap.limits for lap in laps[OGER]) else {}),
    }


def table(title: str, laps: Mapping[str, Sequence[Lap]], peaks: Mapping[str, int]) -> Table:
    """A column per variant and the ratio of OGER to stock GRPO; medians over the rounds."""
    result = Table(title=title, caption=_caption(laps), caption_justify="left")
    result.add_column("per rollout step", no_wrap=True)
    for name in (*laps, f"{OGER} / stock"):
        result.add_column(name, justify="right", no_wrap=True)

    def row(label: str, of_lap: Callable[[Lap], float], unit: str, digits: int = 3) -> None:
        medians = {name: _median(collected, of_lap) for name, collected in laps.items()}
        ratio = f"{medians[OGER] / medians[STOCK]:.3f}" if medians[STOCK] else "-"
        result.add_row(label, *(f"{value:.{digits}f}{unit}" for value in medians.values()), ratio)

    row("seconds", lambda lap: lap.seconds, " s")
    row("per generated token", lambda lap: 1e6 * lap.seconds / sum(lap.response_lengths), " us", 1)
    for stage in STAGES:
        medians = {name: _stage(collected, stage) for name, collected in laps.items()}
        totals = {name: _median(collected, lambda lap: lap.seconds) for name, collected in laps.items()}
        cells = [f"{value:.3f} s {100 * value / totals[name]:3.0f} %" for name, value in medians.items()]
        result.add_row(f"  {stage}", *cells, f"{medians[OGER] / medians[STOCK]:.2f}" if medians[STOCK] > 1e-3 else "-")
    for stage in LIMITED if all(lap.limits for lap in laps[OGER]) else ():
        alone = [_limit(collected, stage) for collected in laps.values()]
        result.add_row(f"  {stage}, products alone", *alone, "")
        above = limit_ratios(laps, stage)
        result.add_row(f"  {stage} / products of OGER", *(f"{above[name]:.2f}" for name in laps), "")
    row("generated tokens", lambda lap: sum(lap.response_lengths), "", 0)
    row("longest / median length", _unevenness, "", 1)
    row("rows trained on", lambda lap: lap.trained_rows, "", 0)
    row("tokens in training forwards", lambda lap: lap.trained_tokens, "", 0)
    row("padding in them", lambda lap: 100 * (1 - lap.trained_tokens / lap.trained_positions), " %", 1)
    memory = [f"{peaks[name] / 2**20:.0f} MiB" if name in peaks else "" for name in laps]
    result.add_row("peak memory", *memory, f"{peaks[OGER] / peaks[STOCK]:.3f}")
    return result


def scaling_table(title: str, laps: Mapping[str, Sequence[Lap]]) -> Table:
    """Milliseconds per rollout by stage, a column per number of rollouts in a step."""
    result = Table(title=title)
    result.add_column("ms per rollout, of a step of")
    for name in laps:
        result.add_column(name, justify="right")
    for stage in (None, *STAGES):
        costs = [
            1e3
            * statistics.median(
                (lap.seconds if stage is None else lap.stages[stage]) / len(lap.response_lengths) for lap in collected
            )
            for collected in laps.values()
        ]
        result.add_row("step" if stage is None else f"  {stage}", *(f"{cost:.3f}" for cost in costs))
    return result


def scaling_line(laps: Mapping[str, Sequence[Lap]]) -> dict[str, Any]:
    """Milliseconds per rollout by rollouts per step, and how they differ.

    `rise`: how much dearer a rollout gets in a larger step, at most; `spread`: dearest over cheapest. Medians over the
    rounds of what each round gives.
    """
    costs = {
        name: [1e3 * lap.seconds / len(lap.response_lengths) for lap in collected] for name, collected in laps.items()
    }
    rounds = list(zip(*costs.values(), strict=True))
    pairs = list(combinations(range(len(costs)), 2))
    ratios = {(a, b): statistics.median(each[b] / each[a] for each in rounds) for a, b in pairs}
    return {
        "ms_per_rollout": {name: round(statistics.median(each), 3) for name, each in costs.items()},
        "rise": round(max(0.0, *(ratio - 1 for ratio in ratios.values())), 4),
        "spread": round(max(max(ratio, 1 / ratio) for ratio in ratios.values()) - 1, 4),
    }


def _caption(laps: Mapping[str, Sequence[Lap]]) -> str:
    ratio, (low, high) = ratio_with_interval(laps[OGER], laps[STOCK])
    off, (off_low, off_high) = ratio_with_interval(laps[PLAIN], laps[OGER])
    extras = extras_shares(laps)
    parts = ", ".join(f"{stage} {100 * share:.1f}" for stage, share in extras.items())
    return (
        f"{len(laps[OGER])} rounds; {OGER} / stock, round by round: {ratio:.3f} [{low:.3f}, {high:.3f}]\n"
        f"extras by the clock: {100 * sum(extras.values()):.1f} % of OGER's step ({parts})\n"
        "extras by switching them off, and with them the teacher rows' tokens: "
        f"{100 * (1 - off):.1f} % [{100 * (1 - off_high):.1f}, {100 * (1 - off_low):.1f}]"
    )


def _unevenness(lap: Lap) -> float:
    return max(lap.response_lengths) / statistics.median(lap.response_lengths)


def _limit(laps: Sequence[Lap], stage: str) -> str:
    return f"{_median(laps, lambda lap: lap.limits[stage]):.3f} s" if laps[0].limits else ""


def _stage(laps: Sequence[Lap], stage: str) -> float:
    return _median(laps, lambda lap: lap.stages[stage])


def _median(laps: Sequence[Lap], of_lap: Callable[[Lap], float]) -> float:
    return statistics.median(of_lap(lap) for lap in laps)
