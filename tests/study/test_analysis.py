"""Tables from stored rows that were made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oger.study.analysis import Analysis
from oger.study.figures import band, draw_figures
from oger.study.numbers import Place
from oger.study.plan import Study, make_study
from oger.study.store import CURVES, OUTCOMES, RESULTS, ResultStore
from oger.study.tables import leaderboard, leaderboard_csv
from tests.support.tiny_study import document

PROBLEMS, SAMPLES = 40, 8
PLACE = Place("easy", "id", "last")


@pytest.fixture
def plan() -> Study:
    methods: dict[str, Any] = {"grpo": {}, "oger": {}, "same": {"like": "grpo", "method": "grpo"}}
    regimes = {"easy": {**document()["regimes"]["easy"], "target": 0.5}}
    return make_study(document(methods=methods, seeds=[0, 1, 2], regimes=regimes))


def stored(folder: Path, chances: dict[str, float]) -> ResultStore:
    """A store with three seeds per method, `chances` apart in accuracy, and validations that rise by 0.1 a step."""
    generator = np.random.default_rng(0)
    difficulty = generator.uniform(-0.15, 0.15, PROBLEMS)
    store = ResultStore(folder)
    rows: dict[str, list[dict[str, Any]]] = {"results": [], "outcomes": [], "curves": []}
    for method, chance in chances.items():
        for seed in (0, 1, 2):
            cell = f"easy/{method}/seed-{seed}"
            correct = generator.binomial(SAMPLES, np.clip(chance + difficulty, 0, 1))
            key = {"cell": cell, "evaluation": "standard", "policy": "last", "split": "id"}
            rows["outcomes"] += [
                {**key, "problem": index, "family": "", "samples": SAMPLES, "correct": int(count),
                 "outcomes": "1" * int(count) + "0" * int(SAMPLES - count)}
                for index, count in enumerate(correct)
            ]  # fmt: skip
            rows["results"].append(
                {
                    **key, "identity": "x", "kind": "main", "regime": "easy", "method": method, "seed": seed,
                    "tuned": "", "problems": PROBLEMS, "samples": SAMPLES, "accuracy": float(correct.mean() / SAMPLES),
                    "pass_at": "{}", "wall_seconds": 1800.0, "versions": json.dumps({"oger": "0.1"}), "settings": "{}",
                    "command": "oger compare study.yaml", "machine": "2 x cores", "date": f"2026-01-0{seed + 1}",
                }
            )  # fmt: skip
            rows["curves"] += [
                {"cell": cell, "step": step, "validation": None if step % 2 else chance - 0.3 + 0.1 * step,
                 "entropy": 1.0 / step, "generated_tokens": 100 * step, "seconds": float(step),
                 **({"divergence": 0.1 * step, "replaced_correct": None if step == 4 else 0.2 + 0.1 * seed}
                    if method == "oger" else {})}
                for step in range(1, 5)
            ]  # fmt: skip
    schemas = {"results": RESULTS, "outcomes": OUTCOMES, "curves": CURVES}
    store.tables = {name: pa.Table.from_pylist(rows[name], schema=schema) for name, schema in schemas.items()}
    store.save()
    return ResultStore(folder)


@pytest.fixture
def analysis(plan: Study, tmp_path: Path) -> Analysis:
    return Analysis(plan, stored(tmp_path, {"oger": 0.7, "grpo": 0.4, "same": 0.4}))


def test_contrasts_compare_the_pairs_that_the_study_names(plan: Study, tmp_path: Path) -> None:
    chances = {"oger": 0.7, "grpo": 0.4, "same": 0.4}
    named = replace(plan, contrasts=(("oger", "same"), ("same", "grpo"), ("same", "oger")))
    analysis = Analysis(named, stored(tmp_path, chances))
    found = analysis.contrasts(PLACE)
    assert list(found) == list(named.contrasts)
    assert [found[pair].verdict for pair in found] == [1, 0, -1]
    assert found["oger", "same"].difference.value == pytest.approx(-found["same", "oger"].difference.value)
    _, _, same = analysis.standings(PLACE)
    to_reference = found["same", "grpo"]
    assert to_reference.difference == same.against_reference.difference
    assert to_reference.p_crossed == same.against_reference.p_crossed
    assert found["oger", "same"].p_holm == pytest.approx(3 * found["oger", "same"].p_crossed)  # of three
    assert leaderboard(analysis).count("| id | last | same | oger | -") == 1


def test_signals_are_means_over_steps_and_seeds_of_methods_with_teachers(analysis: Analysis) -> None:
    found = analysis.signals("easy")
    assert found.keys() == {"oger"}
    assert found["oger"]["divergence"] == pytest.approx(0.25)
    assert found["oger"]["replaced_correct"] == pytest.approx(0.3)
    assert found["oger"]["confidence"] is None
    row = "| oger | 0.250 | - | - | - | - | - | 30.0 | - | - | - |"
    assert leaderboard(analysis).count(row) == 1


def test_standings_tell_a_planted_difference_from_an_absent_one(analysis: Analysis) -> None:
    grpo, oger, same = analysis.standings(PLACE)
    assert [row.method for row in (grpo, oger, same)] == ["grpo", "oger", "same"]  # in the order of the study
    assert grpo.against_reference is None
    better, equal = oger.against_reference, same.against_reference
    assert better is not None
    assert equal is not None
    assert better.difference.value == pytest.approx(oger.accuracy.value - grpo.accuracy.value)
    assert better.difference.low < 0.3 < better.difference.high
    assert better.difference.low > 0.15
    assert (better.verdict, equal.verdict) == (1, 0)
    assert better.record == (3, 0, 0)
    assert better.p_crossed is not None
    assert equal.p_crossed is not None
    assert better.p_holm == pytest.approx(2 * better.p_crossed)  # the smaller of two


def test_reach_is_the_first_validation_at_the_target(analysis: Analysis) -> None:
    reach = analysis.reach("easy")
    assert (reach["oger"].tokens, reach["oger"].seconds, reach["oger"].reached) == (200.0, 2.0, 3)  # 0.7 - 0.3 + 0.2
    assert (reach["grpo"].tokens, reach["grpo"].reached) == (400.0, 3)  # 0.4 - 0.3 + 0.4 at the last


def test_target_that_is_never_reached_has_no_median(plan: Study, tmp_path: Path) -> None:
    reach = Analysis(plan, stored(tmp_path, {"grpo": 0.2})).reach("easy")
    assert (reach["grpo"].reached, reach["grpo"].tokens) == (0, None)


def test_methods_that_are_not_in_the_grid_do_not_count(plan: Study, tmp_path: Path) -> None:
    analysis = Analysis(plan, stored(tmp_path, {"grpo": 0.4, "oger": 0.5, "earlier": 0.9}))
    assert {row["method"] for row in analysis.rows} == {"grpo", "oger"}


def test_a_glance_shows_every_method_and_where_it_was_not_run(analysis: Analysis, tmp_path: Path) -> None:
    assert "at a glance" not in leaderboard(analysis), "one place is no more than its own table"
    regimes = {"easy": {**document()["regimes"]["easy"], "test": {"id": "a.jsonl", "ood": "b.jsonl"}}}
    methods: dict[str, Any] = {"grpo": {}, "oger": {}, "same": {"like": "grpo", "method": "grpo"}}
    plan = make_study(document(methods=methods, seeds=[0, 1, 2], regimes=regimes))
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4, "same": 0.4})
    for name in ("results", "outcomes"):
        rows = store.tables[name].to_pylist()
        elsewhere = [{**row, "split": "ood"} for row in rows if "same" not in row["cell"]]
        store.tables[name] = pa.Table.from_pylist(rows + elsewhere, schema=store.tables[name].schema)
    both = Analysis(replace(plan, contrasts=(("grpo", "oger"), ("same", "oger"))), store)
    table = leaderboard(both).split("## Accuracy at a glance (last policy)")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    assert rows[0] == "| method | seeds | easy, id | easy, ood |"
    shown = [standing.accuracy for standing in both.standings(PLACE)[:2]]
    cells = [f"{100 * x.value:.1f} [{100 * x.low:.1f}, {100 * x.high:.1f}]" for x in shown]
    apart = both.contrasts(PLACE)["grpo", "oger"].difference
    cell = f"{100 * apart.value:+.1f} [{100 * apart.low:+.1f}, {100 * apart.high:+.1f}] ▼"
    assert rows[1:3] == [f"| grpo | 3 | {cells[0]} | {cells[0]} |", f"| oger | 3 | {cells[1]} ▲ | {cells[1]} ▲ |"]
    assert rows[4:6] == ["| method | against | easy, id | easy, ood |", f"| grpo | oger | {cell} | {cell} |"]
    here = [line for line in rows if line.startswith("| same |")]
    assert [line[-5:] for line in here] == ["| - |"] * 2
    assert here == [rows[3], rows[6]]
    assert here[0].count("[") == here[1].count("[") == 1


def test_families_share_out_the_accuracy(plan: Study, tmp_path: Path) -> None:
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4, "same": 0.4})
    rows = store.tables["outcomes"].to_pylist()
    for row in rows:
        row["family"] = "sums" if row["problem"] < 10 else "products"
        row["correct"] = row["problem"] if row["problem"] < 4 else 0  # of 8 samples
    store.tables["outcomes"] = pa.Table.from_pylist(rows, schema=OUTCOMES)
    analysis = Analysis(plan, store)
    assert analysis.families(PLACE)["oger"] == {"products": 0.0, "sums": pytest.approx((1 + 2 + 3) / 8 / 10)}
    assert "| method | products | sums |" in leaderboard(analysis)
    assert leaderboard(analysis).count("| oger | 0.0 | 7.5 |") == 1


def test_leaderboard_says_what_it_was_made_with(analysis: Analysis) -> None:
    text = leaderboard(analysis)
    assert "| oger | 3 |" in text
    assert "▲" in text.split("\n## easy\n")[1]
    assert text.count("`oger compare study.yaml`; seeds: 0, 1, 2; machine: 2 x cores; date: 2026-01-01 to 2026-01-03")
    assert "wall time: 4.50 h over 9 cells" in text
    assert "adjusted by Holm" in text
    header, *rows = leaderboard_csv(analysis).splitlines()
    assert len(rows) == 3
    assert header.startswith("regime,split,policy,method")


def test_order_of_the_stored_rows_changes_nothing(analysis: Analysis, plan: Study, tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    for name, table in store.tables.items():
        store.tables[name] = table.take(list(reversed(range(len(table)))))
    other = Analysis(plan, store)
    assert leaderboard(other) == leaderboard(analysis)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder, one in zip(folders, (analysis, other), strict=True):
        folder.mkdir()
        assert [path.name for path in draw_figures(one, folder)] == ["curves-easy.svg", "forest-easy.svg"]
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()


def test_band_takes_the_steps_that_all_seeds_have() -> None:
    first = [{"step": step, "y": float(step), "x": 10.0 * step} for step in (2, 4, 6)]
    second = [{"step": step, "y": step + 2.0, "x": 20.0 * step} for step in (2, 4)]
    second.append({"step": 6, "y": None, "x": 0.0})
    x, mean, low, high = band({0: first, 1: second}, "y", "x")
    assert x.tolist() == [30.0, 60.0]
    assert (mean.tolist(), low.tolist(), high.tolist()) == ([3.0, 5.0], [2.0, 4.0], [4.0, 6.0])
