"""What `oger evaluate --benchmarks` prints and writes into comparison.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.terminal.grid import render
from oger.terminal.plain import say

if TYPE_CHECKING:
    from oger.evaluation.job import Policy, Result

_CUT_WARNING = 0.2


def print_tables(
    results: Mapping[tuple[str, int, str], Result],
    systems: Mapping[str, Sequence[Policy]],
    groups: Mapping[str, str],
    notes: list[str],
    out: Path,
    form: str,
    reference: str | None,
) -> None:
    """Means, differences, details, and by group where the problems have groups; also as OUT/comparison.json."""
    from oger.evaluation.comparison_table import columns_of, detail_grid, difference_grid, main_grid
    from oger.evaluation.statistics.intervals import Comparison
    from oger.evaluation.store import write_json
    from oger.evaluation.summary import accuracy_by_problem, accuracy_matrix

    matrices = {
        system: {
            name: accuracy_matrix(
                [accuracy_by_problem(results[system, seed, name].responses) for seed in range(len(policies))]
            )
            for name in groups
        }
        for system, policies in systems.items()
    }
    comparison = Comparison(matrices)
    columns = columns_of(groups)
    samples = {name: result.job.num_samples for (_, _, name), result in results.items()}
    turned = form == "plain"
    say(render(main_grid(comparison, columns, samples, form), form, turned=turned))
    differences = difference_grid(comparison, columns, reference or next(iter(systems)))
    if differences is not None:
        say("\n" + render(differences, form, turned=turned))
    numbers = _numbers(comparison, columns, systems)
    by: dict[str, Any] = {}
    for name in groups:
        for column, values in _breakdowns(matrices, results, name).items():
            titles = {f"{value} ({matrix.shape[1]})": [value] for value, matrix in values[next(iter(systems))].items()}
            within = Comparison(values)
            grid = main_grid(within, titles, {}, form)
            grid[0][0] = f"{name} by {column}, % (problems)"
            say("\n" + render(grid, form, turned=turned))
            by.setdefault(name, {})[column] = _numbers(within, {value: [value] for value in within.benchmarks}, systems)
    details = [(_row_name(systems, key), key[2], result.summary) for key, result in results.items()]
    say("\n" + render(detail_grid(details), form))
    seeds = " and training seeds" if any(len(policies) > 1 for policies in systems.values()) else ""
    best = "; the best is marked where its paired difference to every other lies above 0" if len(systems) > 1 else ""
    notes = [f"[low, high]: 95 % bootstrap interval over problems{seeds}{best}", *notes, *_warnings(details)]
    comment = "% " if form == "latex" else ""
    say("\n" + "\n".join(comment + note for note in notes))
    write_json(out / "comparison.json", {**numbers, "by": by, "notes": notes})


def _breakdowns(
    matrices: Mapping[str, Mapping[str, Any]], results: Mapping[tuple[str, int, str], Result], benchmark: str
) -> dict[str, dict[str, dict[str, Any]]]:
    """Column -> system -> value -> accuracies (seeds, problems of this value)."""
    from oger.evaluation.summary import accuracy_by_problem, members_by_group

    result = next(result for (_, _, name), result in results.items() if name == benchmark)
    order = list(accuracy_by_problem(result.responses))  # as in the matrices
    members = members_by_group({problem.id: problem.groups for problem in result.job.problems})
    places = {
        column: {value: [place for place, name in enumerate(order) if name in own] for value, own in values.items()}
        for column, values in members.items()
    }
    return {
        column: {
            system: {value: sets[benchmark][:, own] for value, own in values.items()}
            for system, sets in matrices.items()
        }
        for column, values in places.items()
    }


def _numbers(comparison: Any, columns: Mapping[str, list[str]], systems: Mapping[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "mean": {s: {c: asdict(comparison.mean(s, m)) for c, m in columns.items()} for s in systems},
        "difference": {
            s: {r: {c: asdict(comparison.difference(s, r, m)) for c, m in columns.items()} for r in systems if r != s}
            for s in systems
        },
        "best": {column: comparison.best(members) for column, members in columns.items()},
    }


def _row_name(systems: Mapping[str, Sequence[Policy]], key: tuple[str, int, str]) -> str:
    system, seed, _ = key
    return system if len(systems[system]) == 1 else f"{system}: {systems[system][seed].label}"


def _warnings(details: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[str]:
    lines = []
    for system, benchmark, summary in details:
        if summary["truncated_share"] > _CUT_WARNING:
            cut = f"{100 * summary['truncated_share']:.0f} %"
            lines.append(f"{system}, {benchmark}: {cut} of the responses were cut by the length limit")
        if summary["undecided"] > 0:
            lines.append(f"{system}, {benchmark}: {summary['undecided']:.1%} undecided responses count as wrong")
    return lines
