"""leaderboard.md and leaderboard.csv, made from the stored results alone: the same results give the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from oger.evaluation.tables import interval
from oger.study.analysis import Analysis
from oger.study.notes import CLAIMS_NOTE, COST_NOTE, COSTS, INTERVALS, SAID, SIGNAL_NOTE, SIGNALS
from oger.study.numbers import Comparison, PassCurve, Place, Standing
from oger.study.plan import BASE, DISTINCT
from oger.terminal.grid import render
from oger.terminal.numbers import shown

_COMPARED = (
    "difference", "difference_low", "difference_high", "p_problems", "p_crossed", "p_holm", "wins", "ties", "losses",
    "minimal_detectable_difference",
)  # fmt: skip


def leaderboard(analysis: Analysis) -> str:
    """The whole leaderboard as Markdown."""
    study = analysis.study
    lines = [f"# {study.name}", ""]
    if study.description != "-":
        lines += [study.description, ""]
    lines += [INTERVALS.format(reference=study.reference), ""]
    lines += _glance(analysis)
    lines += _claims(analysis)
    if study.tuning is not None and analysis.tuning_rows:
        lines += _tuning(analysis)
    for regime in study.regimes:
        places = [place for place in analysis.places if place.regime == regime]
        if places:
            lines += _regime(analysis, regime, places)
    return "\n".join(lines).rstrip() + "\n"


def leaderboard_csv(analysis: Analysis) -> str:
    """One row per method and place, with every number unrounded."""
    out = io.StringIO()
    rows = [_csv_row(standing) for place in analysis.places for standing in analysis.standings(place)]
    if rows:
        writer = csv.DictWriter(out, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def glance(analysis: Analysis) -> str:
    """The accuracies of the methods in all places, for a terminal."""
    grid = _glance_grid(analysis)
    note = f"accuracy in % [95 %]; ▲ and ▼: ahead of and behind {analysis.study.reference} (p (Holm) < 0.05)"
    return f"{render(grid, 'plain')}\n{note}" if len(grid) > 1 else ""


def claims_at_a_glance(analysis: Analysis) -> str:
    """What became of each claim in each place, for a terminal; empty without claims."""
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


def _glance(analysis: Analysis) -> list[str]:
    """Accuracies of the methods in all places, where there are several; - where a method was not run."""
    policy = analysis.study.evaluation.policies[0]
    places = [place for place in analysis.places if place.policy == policy]
    if len(places) < 2:
        return []
    title = f"## Accuracy at a glance ({policy} policy)"
    note = f"▲ and ▼: ahead of and behind {analysis.study.reference} (p (Holm) < 0.05); -: not run."
    grid = _glance_grid(analysis)
    return [*_section(grid, title, note), *_glance_at_contrasts(analysis, places), _made_with(analysis, places), ""]


def _glance_grid(analysis: Analysis) -> list[list[str]]:
    policy = analysis.study.evaluation.policies[0]
    places = [place for place in analysis.places if place.policy == policy]
    rows = [{row.method: row for row in analysis.standings(place)} for place in places]
    methods = [method for method in (BASE, *analysis.study.methods) if any(method in found for found in rows)]
    grid = [["method", "seeds", *(f"{place.regime}, {place.split}" for place in places)]]
    for method in methods:
        standings = [found.get(method) for found in rows]
        seeds = sorted({len(row.seeds) for row in standings if row})
        cells = [_marked(interval(row.accuracy), row.against_reference) if row else "-" for row in standings]
        grid.append([method, "-" if method == BASE else "-".join(map(str, seeds)), *cells])
    return grid


def _glance_at_contrasts(analysis: Analysis, places: Sequence[Place]) -> list[str]:
    found = [analysis.contrasts(place) for place in places]
    pairs = [pair for pair in analysis.study.contrasts if any(pair in contrasts for contrasts in found)]
    if not pairs:
        return []
    grid = [["method", "against", *(f"{place.regime}, {place.split}" for place in places)]]
    for pair in pairs:
        compared = [contrasts.get(pair) for contrasts in found]
        cells = [_marked(interval(one.difference, "+.1f"), one) if one else "-" for one in compared]
        grid.append([*pair, *cells])
    note = "Differences in points between methods that the study names; ▲ and ▼ as above, adjusted within their place."
    return _section(grid, note)


def _claims(analysis: Analysis) -> list[str]:
    found = analysis.findings
    if not found:
        return []
    grid = [["claim", "metric", "place", "difference", "p (Holm)", "verdict"]]
    for one in found:
        claim, place = one.claim, one.place
        said = f"{claim.method} {SAID[claim.direction]}"
        grid.append(
            [
                f"{said} {claim.other}",
                claim.metric,
                f"{place.regime}, {place.split}",
                interval(one.difference, *(("+.2f", 1.0) if claim.metric == DISTINCT else ("+.1f",))),
                _p(one.p_holm),
                one.verdict,
            ]
        )
    places = list(dict.fromkeys(one.place for one in found))
    note = CLAIMS_NOTE.format(number=len(found))
    return _section(grid, "## Claims", note, made=_made_with(analysis, places))


def _regime(analysis: Analysis, regime: str, places: Sequence[Place]) -> list[str]:
    lines = [f"## {regime}", ""]
    for place in places:
        standings = analysis.standings(place)
        problems, samples = standings[-1].problems, standings[-1].samples
        title = f"### {regime}, {place.split}, {place.policy} policy: {problems} problems x {samples} samples"
        lines += _section(_main_grid(standings), title, made=_made_with(analysis, [place]))
    lines += _contrasts(analysis, places)
    for place in places:
        lines += _pass_at_k(analysis, place)
    mine = [place for place in places if place.policy == places[0].policy]
    for place in mine:
        lines += _families(analysis, place)
        lines += _strategies(analysis, place)
    title = f"### {regime}: cost, variety and closeness to the teachers ({places[0].policy} policy)"
    grid = [["method", "split", *COSTS]]
    grid += [
        [row.method, place.split, *_numbers(row.means, COSTS)] for place in mine for row in analysis.standings(place)
    ]
    lines += _section(grid, title, COST_NOTE, made=_made_with(analysis, mine))
    return lines + _signals(analysis, regime) + _reach(analysis, regime)


def _section(grid: Sequence[Sequence[str]], *before: str, made: str = "") -> list[str]:
    """A table, what stands before it, and how it was made; a blank line after each."""
    parts = [*before, render(grid, "markdown"), *filter(None, [made])]
    return [line for part in parts for line in (part, "")]


def _main_grid(standings: Sequence[Standing]) -> list[list[str]]:
    grid = [
        [
            "method", "seeds", "accuracy", "format-blind", "difference", "", "p (problems)", "p (Holm)", "W/T/L", "MDD",
            "steps", "tokens", "rate",
        ],
    ]  # fmt: skip
    for row in standings:
        seeds = "-" if row.method == BASE else str(len(row.seeds))
        compared = _compared(row.against_reference)
        accuracies = [interval(row.accuracy), interval(row.blind)]
        grid.append([row.method, seeds, *accuracies, *compared, *_spent(row), row.tuned])
    return grid


def _spent(row: Standing) -> list[str]:
    """Steps and generated tokens, by stage."""
    steps = " + ".join(f"{stage.steps:,.0f}" for stage in row.stages)
    by_stage = [stage.tokens for stage in row.stages if stage.tokens is not None]
    in_all = row.means["generated_tokens"] if row.stages else None
    tokens = " + ".join(f"{number:,.0f}" for number in by_stage) if by_stage else shown(in_all, ",.0f")
    return [steps or "-", tokens]


def _compared(found: Comparison | None) -> list[str]:
    if found is None:
        return [""] * 6
    return [
        interval(found.difference, "+.1f"),
        _mark(found),
        _p(found.p_problems),
        _p(found.p_holm),
        "/".join(map(str, found.record)),
        shown(found.detectable, ".1f", 100),
    ]


def _contrasts(analysis: Analysis, places: Sequence[Place]) -> list[str]:
    grid = [["split", "policy", "method", "against", "difference", "", "p (problems)", "p (Holm)", "W/T/L", "MDD"]]
    for place in places:
        for (method, other), found in analysis.contrasts(place).items():
            grid.append([place.split, place.policy, method, other, *_compared(found)])
    if len(grid) == 1:
        return []
    title = f"### {places[0].regime}: other comparisons that the study names, adjusted within their split and policy"
    return _section(grid, title, made=_made_with(analysis, places))


def _pass_at_k(analysis: Analysis, place: Place) -> list[str]:
    curves = analysis.pass_curves(place)
    if not curves:
        return []
    largest = max(max(curve.values) for curve in curves)
    note = (
        "Square brackets as above; the difference is in points at the largest k, not adjusted. Solutions are the "
        "different correct ones per problem among all samples; - where the results do not hold them."
    )
    title = f"### {place.regime}, {place.split}, {place.policy} policy: pass@k on {curves[0].problems} problems, in %"
    grid = [["method", *(f"k = {k}" for k in curves[0].values), f"difference, k = {largest}", "solutions"]]
    grid += [_pass_row(curve) for curve in curves]
    return _section(grid, title, note, made=_made_with(analysis, [place]))


def _families(analysis: Analysis, place: Place) -> list[str]:
    found = analysis.families(place)
    names = sorted(set().union(*found.values()))
    if len(names) < 2:
        return []
    grid = [["method", *names]]
    for method, by_family in found.items():
        grid.append([method, *(f"{100 * by_family[name]:.1f}" if name in by_family else "-" for name in names)])
    title = f"### {place.regime}, {place.split}, {place.policy} policy: accuracy by family, in %"
    return _section(grid, title, made=_made_with(analysis, [place]))


def _strategies(analysis: Analysis, place: Place) -> list[str]:
    found = analysis.strategies(place)
    if not found:
        return []
    names = list(next(iter(found.values())))
    grid = [["method", *names]]
    grid += [[method, *(interval(by_name[name]) for name in names)] for method, by_name in found.items()]
    title = f"### {place.regime}, {place.split}, {place.policy} policy: accuracy by way of solving, in %"
    note = "Samples that are correct in each way, by the world's rule; they add up to the accuracy."
    return _section(grid, title, note, made=_made_with(analysis, [place]))


def _pass_row(curve: PassCurve) -> list[str]:
    return [
        curve.method,
        *(interval(value) for value in curve.values.values()),
        "" if curve.difference is None else interval(curve.difference, "+.1f"),
        interval(curve.distinct, ".2f", 1.0),
    ]


def _signals(analysis: Analysis, regime: str) -> list[str]:
    found = analysis.signals(regime)
    if not found:
        return []
    grid = [["method", *SIGNALS], *([method, *_numbers(means, SIGNALS)] for method, means in found.items())]
    rows = [row for row in analysis.rows if row["regime"] == regime]
    title = f"### {regime}: what the reward is made of, on average over training"
    return _section(grid, title, SIGNAL_NOTE, made=_stamp(rows))


def _reach(analysis: Analysis, regime: str) -> list[str]:
    target = analysis.target(regime)
    if target is None:
        return []
    given = analysis.study.regimes[regime].target is not None
    why = "named by the study" if given else f"what {analysis.study.reference} ends with on average"
    grid = [["method", "reached by", "tokens", "training s"]]
    for method, reach in analysis.reach(regime).items():
        cells = [shown(reach.tokens, ",.0f"), shown(reach.seconds, ",.0f")]
        grid.append([method, f"{reach.reached} of {reach.seeds}", *cells])
    rows = [row for row in analysis.rows if row["regime"] == regime]
    title = f"### {regime}: generated tokens and seconds to a validation accuracy of {100 * target:.1f} % ({why})"
    note = "Medians over seeds of the first validation that shows it; - where most seeds never did."
    return _section(grid, title, note, made=_stamp(rows))


def _tuning(analysis: Analysis) -> list[str]:
    tuning = analysis.study.tuning
    assert tuning is not None
    found = analysis.tuning()
    columns = list(dict.fromkeys(tuned for _, _, by_value, _ in found for tuned in by_value))
    grid = [["regime", "method", *columns]]
    for regime, method, by_value, chosen in found:
        cells = [shown(by_value.get(column), ".1f", 100) for column in columns]
        marked = [f"**{cell}**" if column == chosen else cell for cell, column in zip(cells, columns, strict=True)]
        grid.append([regime, method, *marked])
    note = (
        f"Validation accuracy in % ({tuning.samples} samples per problem, mean over seeds, policy after the last "
        "step); the chosen value is bold. A method that is like another one takes its value."
    )
    title = f"## {tuning.key}, chosen on the validation split"
    return _section(grid, title, note, made=_stamp(analysis.tuning_rows))


def _csv_row(row: Standing) -> dict[str, Any]:
    compared = dict.fromkeys(_COMPARED)
    if row.against_reference is not None:
        found, difference = row.against_reference, row.against_reference.difference
        numbers = (difference.value, difference.low, difference.high, found.p_problems, found.p_crossed, found.p_holm)
        compared = dict(zip(_COMPARED, (*numbers, *found.record, found.detectable), strict=True))
    return {
        "regime": row.place.regime,
        "split": row.place.split,
        "policy": row.place.policy,
        "method": row.method,
        "tuned": row.tuned,
        "seeds": " ".join(map(str, row.seeds)),
        "problems": row.problems,
        "samples": row.samples,
        "accuracy": row.accuracy.value,
        "accuracy_low": row.accuracy.low,
        "accuracy_high": row.accuracy.high,
        "format_blind": None if row.blind is None else row.blind.value,
        **compared,
        **row.means,
    }


def _made_with(analysis: Analysis, places: Sequence[Place]) -> str:
    wanted = {(place.regime, place.split) for place in places}
    return _stamp([row for row in analysis.rows if (row["regime"], row["split"]) in wanted])


def _stamp(rows: Sequence[Mapping[str, Any]]) -> str:
    """How, when and with what the numbers of these rows were made, in one small line of Markdown."""
    cells = {row["cell"]: row for row in rows}.values()

    def distinct(name: str) -> str:
        return "; ".join(sorted({str(row[name]) for row in cells if row[name] is not None})) or "-"

    versions: dict[str, set[str]] = {}
    for row in cells:
        for name, version in json.loads(row["versions"]).items():
            versions.setdefault(name, set()).add(version)
    dates = sorted({row["date"] for row in cells})
    facts = {
        "seeds": ", ".join(str(seed) for seed in sorted({row["seed"] for row in cells if row["method"] != BASE})),
        "machine": distinct("machine"),
        "date": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        "wall time": f"{sum(row['wall_seconds'] for row in cells) / 3600:.2f} h over {len(cells)} cells",
        "versions": ", ".join(f"{name} {'/'.join(sorted(found))}" for name, found in versions.items()),
        "commit": distinct("commit"),
    }
    return f"<sub>`{distinct('command')}`; {'; '.join(f'{name}: {value}' for name, value in facts.items())}</sub>"


def _marked(text: str, compared: Comparison | None) -> str:
    return f"{text} {_mark(compared)}".rstrip()


def _mark(compared: Comparison | None) -> str:
    return "" if compared is None else {1: "▲", -1: "▼", 0: ""}[compared.verdict]


def _p(value: float | None) -> str:
    """A p value with three places.

    >>> _p(0.00004), _p(0.0312)
    ('<0.001', '0.031')
    """
    if value is None:
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _numbers(means: Mapping[str, float | None], columns: Mapping[str, tuple[str, str, float]]) -> list[str]:
    return [shown(means[name], form, factor) for name, form, factor in columns.values()]
