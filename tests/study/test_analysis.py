"""Tables from stored rows that were made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from oger.evaluation.statistics.crossed import crossed_p
from oger.study.analysis import Analysis
from oger.study.fields import StudyError
from oger.study.figures import band, draw_figures
from oger.study.numbers import Place
from oger.study.plan import Study, make_study
from oger.study.store import CURVES, OUTCOMES, RESULTS, ResultStore
from oger.study.tables import claims_at_a_glance, leaderboard, leaderboard_csv
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
                    "steps": 4, "generated_tokens": 400, "train_seconds": 4.0, "workers": 1, "threads": 1,
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


def test_claims_hold_do_not_hold_or_cannot_be_told(tmp_path: Path) -> None:
    methods: dict[str, Any] = {"grpo": {}, "oger": {}, "same": {"like": "grpo", "method": "grpo"}}
    said = [("oger", "grpo", "ahead"), ("oger", "same", "behind"), ("same", "grpo", "ahead")]
    claims = [{"contrast": [a, b], "direction": direction} for a, b, direction in said]
    plan = make_study(document(methods=methods, seeds=[0, 1, 2], claims=claims))
    analysis = Analysis(plan, stored(tmp_path, {"oger": 0.7, "grpo": 0.4, "same": 0.4}))
    assert [one.verdict for one in analysis.findings] == ["holds", "does not hold", "cannot tell"]
    first, second, _ = analysis.findings
    alone = [crossed_p(one.difference) for one in (first, second)]
    assert sorted([first.p_holm, second.p_holm])[0] == pytest.approx(3 * min(alone))  # of three
    table = leaderboard(analysis).split("\n## Claims\n")[1].split("\n## ")[0]
    assert table.count("| oger ahead of grpo | accuracy | easy, id | +") == 1
    assert table.count("| cannot tell |") == 1
    shown = [line.split("  ") for line in claims_at_a_glance(analysis).splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in shown[2:5]] == [
        ["oger ahead of grpo", "accuracy", "holds"],
        ["oger behind same", "accuracy", "does not hold"],
        ["same ahead of grpo", "accuracy", "cannot tell"],
    ]


def test_a_claim_of_a_metric_that_is_not_stored_is_left_out(tmp_path: Path) -> None:
    claims = [{"contrast": ["oger", "grpo"], "metric": "format_blind", "direction": "ahead"}]
    plan = make_study(document(seeds=[0, 1, 2], claims=claims))
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4})
    assert Analysis(plan, store).findings == []
    rows = [{**row, "blind": "1" * SAMPLES if "oger" in row["cell"] else row["outcomes"]}
            for row in store.tables["outcomes"].to_pylist()]  # fmt: skip
    store.tables["outcomes"] = pa.Table.from_pylist(rows, schema=OUTCOMES)
    analysis = Analysis(plan, store)
    assert [one.verdict for one in analysis.findings] == ["holds"]
    assert " | 100.0 [100.0, 100.0] | +" in leaderboard(analysis)  # beside the accuracy
    assert analysis.standings(PLACE)[1].blind.value == 1.0


def test_the_detectable_difference_is_that_of_holms_first_step(analysis: Analysis) -> None:
    _, better, _ = analysis.standings(PLACE)
    found = better.against_reference
    assert found is not None
    error, degrees = found.difference.standard_error, found.difference.degrees
    by_hand = (stats.t.ppf(1 - 0.05 / 2 / 2, degrees) + stats.t.ppf(0.8, degrees)) * error  # two methods
    assert found.detectable == pytest.approx(by_hand)
    assert found.detectable > found.difference.detectable()


def test_steps_and_tokens_stand_by_stage_and_rates_say_where_they_are_from(plan: Study, tmp_path: Path) -> None:
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4, "same": 0.4})
    rows = store.tables["results"].to_pylist()
    for row in rows:
        row["tuned"], row["steps"], row["generated_tokens"] = "learning_rate=0.1", 34, 5000
        if row["method"] == "oger":
            row["stages"] = '[{"steps": 30, "generated_tokens": 0}, {"steps": 4, "generated_tokens": 5000}]'
    store.tables["results"] = pa.Table.from_pylist(rows, schema=RESULTS)
    lines = leaderboard(Analysis(plan, store)).split("\n### easy, id")[1].split("\n### ")[0].splitlines()
    cells = {line.split(" | ")[0]: line.rstrip(" |").split(" | ")[-3:] for line in lines if line.startswith("| ")}
    assert cells["| oger"] == ["30 + 4", "0 + 5,000", "learning_rate=0.1, tuned"]
    assert cells["| grpo"] == [
        "30 + 4",
        "5,000",
        "learning_rate=0.1, tuned",
    ]  # results of before: the curve has 4 steps
    assert cells["| same"] == ["30 + 4", "5,000", "learning_rate=0.1, of grpo"]
    untuned = leaderboard(Analysis(plan, stored(tmp_path / "untuned", {"oger": 0.7, "grpo": 0.4})))
    assert sum(line.startswith("| grpo | 3 |") and line.endswith("| not tuned |") for line in untuned.splitlines()) == 1


def test_seeds_that_needed_no_first_stage_count_as_nothing_there(plan: Study, tmp_path: Path) -> None:
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4})
    rows = store.tables["results"].to_pylist()
    for row in rows:
        last = {"steps": 4, "generated_tokens": 5000}
        row["stages"] = json.dumps([last] if row["seed"] else [{"steps": 30, "generated_tokens": 60}, last])
    store.tables["results"] = pa.Table.from_pylist(rows, schema=RESULTS)
    oger = Analysis(plan, store).standings(PLACE)[0]
    assert [(stage.steps, stage.tokens) for stage in oger.stages] == [(10.0, 20.0), (4.0, 5000.0)]


def test_every_pass_at_k_has_its_interval_and_ways_add_up_to_the_accuracy(plan: Study, tmp_path: Path) -> None:
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4})
    results, outcomes = (store.tables[name].to_pylist() for name in ("results", "outcomes"))
    for row in outcomes:
        row["distinct"] = min(row["correct"], 5)
        row["strategies"] = json.dumps({"a": row["correct"] // 2, "b": row["correct"] - row["correct"] // 2})
    wide = [[{**row, "evaluation": "wide"} for row in rows] for rows in (results, outcomes)]
    store.tables["results"] = pa.Table.from_pylist(results + wide[0], schema=RESULTS)
    store.tables["outcomes"] = pa.Table.from_pylist(outcomes + wide[1], schema=OUTCOMES)
    analysis = Analysis(plan, store)
    _, oger = analysis.pass_curves(PLACE)
    assert list(oger.values) == [1, 2, 4, 8]
    assert all(found.low < found.value < found.high for found in list(oger.values.values())[:3])
    assert oger.distinct is not None
    assert oger.distinct.low < oger.distinct.value <= oger.distinct.high <= SAMPLES
    counts = [row["distinct"] for row in outcomes if "oger" in row["cell"]]
    assert oger.distinct.value == pytest.approx(np.mean(counts))
    ways = analysis.strategies(PLACE)["oger"]
    assert ways["a"].value + ways["b"].value == pytest.approx(analysis.standings(PLACE)[1].accuracy.value)
    assert "accuracy by way of solving" in leaderboard(analysis)
    _, drawn, _ = draw_figures(analysis, tmp_path)
    assert drawn.name == "pass-easy.svg"
    assert {text for text in ("oger", "grpo", "pass@k, %") if f">{text}<" in drawn.read_text()} == {
        "oger",
        "grpo",
        "pass@k, %",
    }


def test_results_stored_before_a_column_are_read(tmp_path: Path) -> None:
    store = stored(tmp_path, {"oger": 0.7, "grpo": 0.4})
    pq.write_table(store.tables["outcomes"].drop_columns(["blind", "distinct"]), tmp_path / "outcomes.parquet")
    again = ResultStore(tmp_path)
    assert again.tables["outcomes"].schema == OUTCOMES
    assert again.tables["outcomes"]["blind"].null_count == len(again.tables["outcomes"])
    pq.write_table(store.tables["outcomes"].drop_columns(["correct"]), tmp_path / "outcomes.parquet")
    with pytest.raises(StudyError, match="holds no results of a study"):
        ResultStore(tmp_path)


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
