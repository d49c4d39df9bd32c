"""The page about real and made-up run folders: what it holds, what it survives, what it refuses."""

from __future__ import annotations

import doctest
import importlib
import json
import math
import os
import pkgutil
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oger.reporting.report
from oger.recipes import load_recipe
from oger.reporting.report import build_report
from oger.reporting.report.browser import LONGEST_TEXT
from oger.reporting.report.curves import MAX_POINTS, curves
from oger.reporting.report.page import LIBRARY, asset
from oger.reporting.report.run_folder import RunFolder
from oger.reporting.report.spread import MAX_HISTOGRAMS, histograms
from oger.runs.metrics_log import MetricsLog, read_metrics
from oger.runs.rollouts import PROBES, read_rollouts
from tests.support.report_page import read_data
from tests.support.run_folders import make_run


def data_of(*runs: Path, **options: Any) -> dict[str, Any]:
    out = runs[0].parent / "report.html"
    build_report(runs, out, force=True, **options)
    return read_data(out.read_text(encoding="utf-8"))


def close(shown: Any, real: Any) -> bool:
    """Equal up to the page's five significant digits."""
    return shown == real or math.isclose(shown, real, rel_tol=1e-4)


@pytest.fixture(scope="module")
def real_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seeds of a real run."""
    from oger.training.run.train import train_recipe

    folder = tmp_path_factory.mktemp("real")
    for seed in (0, 1):
        train_recipe(
            load_recipe(
                "smoke",
                [
                    "max_steps=3",
                    "eval_steps=3",
                    "save_steps=3",
                    "eval_limit=4",
                    f"seed={seed}",
                    f"output_dir={folder / f'seed{seed}'}",
                ],
            )
        )
    return [folder / "seed0", folder / "seed1"]


def test_a_page_of_real_runs_holds_what_the_folders_hold(real_runs: list[Path]) -> None:
    data = data_of(*real_runs)
    assert [run["problems"] for run in data["runs"]] == [[], []]
    assert data["families"] == [0, 0], "two seeds of one recipe are one family"
    assert {row["key"] for row in data["config_differences"]} == {"seed", "output_dir"}
    for path, run in zip(real_runs, data["runs"], strict=True):
        metrics = read_metrics(path / "metrics.jsonl")
        assert run["curves"]["step"] == [row["step"] for row in metrics]
        for name in ("reward/total", "divergence/mean", "entropy/last", "length/teacher", "eval/outcome"):
            for shown, row in zip(run["curves"]["values"][name], metrics, strict=True):
                assert close(shown, row.get(name)), name
        assert close(sum(run["cost"].values()), sum(row["time/step"] for row in metrics) / len(metrics))
        summary = json.loads((path / "summary.json").read_text())
        assert close(run["headline"]["sets"]["id"]["after"]["pass@1"], summary["after"]["id"]["pass@1"])
        assert run["headline"]["best"]["step"] == summary["best"]["step"]
        counted = [json.loads(line) for line in (path / "histograms.jsonl").read_text().splitlines()]
        assert [row["counts"]["divergence"] for row in run["histograms"]] == [
            row["divergence"]["counts"] for row in counted
        ]
        assert run["config"]["exploration_weight"] == "1.0"
        assert run["environment"]["packages.torch"]


def test_every_stored_row_is_there_with_its_factors(real_runs: list[Path]) -> None:
    [run] = data_of(real_runs[0])["runs"]
    stored = {
        (row["step"], row["group"], row["origin"], row["row"]): row for row in read_rollouts(real_runs[0]).to_pylist()
    }
    shown = {
        (group["step"], group["group"], row["origin"], row["row"]): row
        for group in run["groups"]
        for row in group["rows"]
    }
    assert set(shown) == set(stored)
    for place, row in shown.items():
        assert row["text"] == stored[place]["text"]
        for name in (
            "outcome",
            "divergence",
            "entropy_last",
            "entropy_mean",
            "confidence",
            "bonus",
            "reward",
            "advantage",
        ):
            assert close(row[name], stored[place][name]), (place, name)
        assert row["shaping"] is None or close(row["shaping"]["oger"], dict(stored[place]["shaping"])["oger"])


def test_the_map_of_a_run_shows_its_probes_from_the_untrained_policy_on(real_runs: list[Path]) -> None:
    [run] = data_of(real_runs[0])["runs"]
    assert run["map"]["about"].startswith("Probes: 4 training prompts")
    assert "the run's own encoder, ngram" in run["map"]["about"]
    rows = read_rollouts(real_runs[0], store=PROBES).to_pylist()
    pooled = run["map"]["views"][0]
    teachers = {(row["prompt"], row["teacher"]) for row in rows if row["origin"] == "teacher"}
    assert len([point for point in pooled["points"] if point["kind"] == "teacher"]) == len(teachers)
    assert [row["step"] for row in pooled["steps"]] == [0, 1, 2, 3]
    assert len(run["map"]["views"]) == 5, "all of them, and each"
    for shown in pooled["steps"]:
        online = [row for row in rows if row["origin"] == "online" and row["step"] == shown["step"]]
        assert shown["rollouts"] == len(online) == 16
        assert shown["correct"] == sum(row["outcome"] == 1 for row in online)
        assert close(shown["divergence"], sum(row["divergence"] for row in online) / 16)


def test_the_map_without_probes_has_every_teacher_of_the_prompts(real_runs: list[Path], tmp_path: Path) -> None:
    from oger.worlds import load_world

    shutil.copytree(real_runs[0], tmp_path / "run", ignore=shutil.ignore_patterns("probes"))
    [run] = data_of(tmp_path / "run")["runs"]
    assert run["problems"] == [], "an older run, or one that asked for none, lacks nothing"
    assert run["map"]["about"].startswith("No probes are stored")
    assert "the run's own encoder, ngram" in run["map"]["about"]
    assert "every teacher of the training table" in run["map"]["about"]
    teachers = {row["prompt"]: row["teachers"] for row in load_world("arithmetic").rows("train")}
    pooled, single = run["map"]["views"][0], run["map"]["views"][1]
    prompts = {row["prompt"] for row in read_rollouts(real_runs[0]).to_pylist()}
    points = [point for point in pooled["points"] if point["kind"] == "teacher"]
    assert len(points) == sum(len(teachers[prompt]) for prompt in prompts)
    assert {point["step"] for point in pooled["points"] if point["kind"] != "teacher"} == {1, 2, 3}
    assert pooled["prompts"] == len(prompts)
    assert single["prompts"] == 1
    assert 0 < sum(pooled["explained"]) <= 1.0001


def test_teachers_lie_round_the_origin_of_the_pooled_map(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=6, groups=4)
    pooled = data_of(run)["runs"][0]["map"]["views"][0]
    centre = [sum(p[axis] for p in pooled["points"]) / len(pooled["points"]) for axis in "xy"]
    assert centre == pytest.approx([0, 0], abs=1e-3)
    assert {point["kind"] for point in pooled["points"]} == {"teacher", "correct", "wrong", "replaced"}


class Scripts(HTMLParser):
    """Counts script elements and collects what a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.loads += [
            value or "" for name, value in attrs if name in ("src", "href") and not (value or "").startswith("#")
        ]


HOSTILE = (
    "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><!-- {{data}} \u2028"
)


def test_texts_of_a_run_stay_texts(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "run<b>", text=HOSTILE, config={"description": HOSTILE}, alarms={2: {"undecided": HOSTILE}}
    )
    out = tmp_path / "report.html"
    build_report([run], out)
    page = out.read_text(encoding="utf-8")
    parser = Scripts()
    parser.feed(page)
    assert parser.scripts == 3, "data, library, the page's own"
    assert parser.loads == [], "nothing is loaded from anywhere"
    entry = read_data(page)["runs"][0]
    assert entry["groups"][0]["rows"][0]["text"].startswith(HOSTILE)
    assert entry["alarms"] == [{"step": 2, "name": "undecided", "message": HOSTILE}]
    assert entry["config"]["description"] == HOSTILE


def test_a_run_that_goes_on_or_was_killed_says_so_and_shows_what_it_has(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=4, finished=False, config={"max_steps": 9})
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 5, "reward/to')  # being written
    os.utime(run / "metrics.jsonl", (time.time() - 7300, time.time() - 7300))
    [entry] = data_of(run)["runs"]
    assert not entry["finished"]
    assert entry["state"].startswith("not finished: step 4 of 9, still going or stopped")
    assert "2 hours before this report" in entry["state"]
    assert entry["problems"] == []
    assert entry["curves"]["step"] == [1, 2, 3, 4]


def test_a_run_before_its_first_step_has_a_page(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_text("model: tiny\nmax_steps: 9\n")
    [entry] = data_of(run)["runs"]
    assert entry["state"].startswith("not finished: step 0 of 9")
    assert "metrics.jsonl is missing" in entry["problems"]


def spoil_middle_line(path: Path) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[1] = b"\xff\xfe not json"
    path.write_bytes(b"\n".join(lines))


DAMAGE = {
    "config.yaml": (lambda path: path.write_text("a: [1"), "config.yaml cannot be read"),
    "environment.json": (lambda path: path.unlink(), "environment.json is missing"),
    "encoder.json": (lambda path: path.write_text("[1]"), "encoder.json cannot be read: it holds no mapping"),
    "summary.json": (lambda path: path.write_bytes(b"\xff"), "summary.json cannot be read"),
    "metrics.jsonl": (spoil_middle_line, "metrics.jsonl: 1 of 4 line is damaged and left out, the first is line 2"),
    "histograms.jsonl": (
        lambda path: path.write_text('{"step": 1, "bonus": 3}\n'),
        "histograms.jsonl: 1 of 1 rows hold no histogram",
    ),
    "rollouts/step-000002.parquet": (lambda path: path.write_bytes(b"PAR1 no"), "rollouts: step 2 cannot be read"),
    "rollouts": (shutil.rmtree, "rollouts/ holds no stored step"),
    "probes/step-000002.parquet": (lambda path: path.write_bytes(b"PAR1 no"), "probes: step 2 cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_costs_one_line_and_its_own_part(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", probes=2)
    damage, expected = DAMAGE[name]
    damage(run / name)
    out = tmp_path / "report.html"
    [said] = build_report([run], out)
    assert said.startswith("run: ")
    assert expected in said
    assert "\n" not in said
    [entry] = read_data(out.read_text(encoding="utf-8"))["runs"]
    assert said == f"run: {entry['problems'][0]}"
    whole = {
        "config.yaml": bool(entry["config"]),
        "environment.json": bool(entry["environment"]),
        "metrics.jsonl": entry["curves"]["step"] == [1, 2, 3, 4],
        "histograms.jsonl": len(entry["histograms"]) == 4,
        "summary.json": bool(entry["headline"]["sets"]),
        "rollouts": len(entry["groups"]) == 8,
        "probes": [row["step"] for row in entry["map"]["views"][0]["steps"]] == [0, 1, 2, 3, 4],
    }
    assert [part for part, there in whole.items() if not there] == [
        part for part in whole if name.split("/")[0] == part
    ], "only the damaged part is missing"


def rewritten(run: Path, folder: str, change: Any) -> None:
    """Every stored file of a folder with changed columns, in the same version of the schema."""
    for path in (run / folder).glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def of_column(name: str, values: Any) -> Any:
    """A change of a table: the values of a column, repeated over its rows; None drops the column."""

    def change(table: pa.Table) -> pa.Table:
        at = table.schema.get_field_index(name)
        if values is None:
            return table.remove_column(at)
        column = pa.array((values * len(table))[: len(table)], table.schema.field(name).type)
        return table.set_column(at, pa.field(name, column.type), column)

    return change


HOSTILE_ROWS = {
    "a vector that is not finite": ("probes", of_column("vector", [[math.nan] * 4, [math.inf] * 4]), "not finite"),
    "no column of vectors": ("probes", of_column("vector", None), "probes: step"),
    "no texts": ("rollouts", of_column("text", [None, "a"]), "lack a value"),
    "no column of groups": ("rollouts", of_column("group", None), "lack a value"),
    "an unknown origin": ("rollouts", of_column("origin", ["<b>", "online"]), "lack a value"),
    "numbers that are not finite": ("rollouts", of_column("divergence", [math.nan, math.inf, -math.inf]), ""),
    "a bonus without end": ("rollouts", of_column("bonus", [1e308, -1e308]), ""),
    "brackets": ("rollouts", of_column("prompt", ["[" * 100_000]), ""),
    "a long text": ("rollouts", of_column("text", ["x" * 300_000, "<\x00\ud7ff"]), ""),
}


@pytest.mark.parametrize("name", HOSTILE_ROWS)
def test_hostile_rows_cost_themselves_and_not_the_page(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", probes=2, steps=2)
    folder, change, said = HOSTILE_ROWS[name]
    rewritten(run, folder, change)
    [entry] = data_of(run)["runs"]
    assert any(said in line for line in entry["problems"]) == bool(said), entry["problems"]
    assert entry["curves"]["step"] == [1, 2]
    if folder == "probes":
        assert len(entry["groups"]) == 4
    else:
        assert entry["map"]["views"]


@pytest.mark.parametrize("value", ["1" + "0" * 400, "1" + "0" * 5000, "[" * 100_000, '"' + "y" * 100_000 + '"', "null"])
@pytest.mark.parametrize("key", ["step", "time/step", "loss"])
def test_hostile_values_of_a_row_of_metrics_leave_a_gap(tmp_path: Path, key: str, value: str) -> None:
    run = make_run(tmp_path / "run", steps=2)
    with open(run / "metrics.jsonl", "a") as file:
        file.write(f'{{"step": 3, "loss": 1.5, "{key}": {value}}}\n{{"step": 4, "loss": 2.5}}\n')
    shown = data_of(run)["runs"][0]["curves"]
    at = dict(zip(shown["step"], shown["values"]["loss"], strict=True))
    assert at[4] == 2.5
    assert at.get(3) in (None, 1.5)


def test_a_hostile_configuration_costs_its_own_part(tmp_path: Path) -> None:
    long = "/" + "z" * 5_000
    odd = {"train": long, "model": long, "encoder": f"static:{long}", "encoder_options": [1], "max_steps": 10**18}
    run = make_run(tmp_path / "run", config=odd)
    for name, content in (("environment.json", '{"a":' * 900 + "1" + "}" * 900), ("summary.json", '{"after": [[]]}')):
        (run / name).write_text(content)
    os.mkfifo(run / "rollouts" / "step-000099.parquet")
    [entry] = data_of(run)["runs"]
    assert len(entry["groups"]) == 8
    assert entry["map"]["views"]
    assert any("step-000099.parquet" in line for line in entry["problems"])
    assert all(len(line) < 1_100 for line in entry["problems"])


def test_values_that_are_no_numbers_leave_gaps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=2)
    (run / "metrics.jsonl").write_text(
        '{"step": 1, "loss": NaN, "reward/total": 0.5}\n{"step": 2, "loss": 1.5, "reward/total": "x", "extra": [1]}\n'
    )
    values = data_of(run)["runs"][0]["curves"]["values"]
    assert values == {"loss": [None, 1.5], "reward/total": [0.5, None]}


def test_runs_that_differ_in_more_than_the_seed_are_different_families(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / "a", seed=0),
        make_run(tmp_path / "b", seed=1, config={"exploration_weight": 0.0}),
        make_run(tmp_path / "c", seed=2),
    ]
    data = data_of(*runs)
    assert data["families"] == [0, 1, 0]
    assert {"key": "exploration_weight", "values": ["1.0", "0.0", "1.0"]} in data["config_differences"]


def test_groups_are_sampled_to_the_cap_over_all_stored_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=10, groups=5)
    [entry] = data_of(run, groups=6)["runs"]
    assert entry["groups_stored"] == 50
    assert len(entry["groups"]) == 6
    steps = [group["step"] for group in entry["groups"]]
    assert len(set(steps)) == 6
    assert steps == sorted(steps)
    assert steps[0] <= 2
    assert steps[-1] >= 9


def test_a_long_text_is_cut_in_the_middle_and_says_how_much(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", text="head" + "x" * 20_000)
    row = data_of(run)["runs"][0]["groups"][0]["rows"][0]
    assert row["text"].startswith("headxxx")
    assert row["text"].endswith("[1.0.0]")
    assert len(row["text"]) <= LONGEST_TEXT + 10
    whole = len("head" + "x" * 20_000 + " [1.0.0]")
    assert len(row["text"]) - len(" … ") + row["cut"] == whole


@pytest.mark.parametrize(
    ("steps", "text"),
    [(500, "a step of a long chain of thought. " * 600), (40, "<" * 20_000)],
    ids=["plain", "escaped"],
)
def test_long_runs_and_long_texts_stay_under_five_megabytes(tmp_path: Path, steps: int, text: str) -> None:
    run = make_run(tmp_path / "run", steps=steps, rollouts_every=steps // 10, groups=5, text=text, probes=4)
    out = tmp_path / "report.html"
    build_report([run], out)
    assert len(read_data(out.read_text(encoding="utf-8"))["runs"][0]["groups"]) == 48
    assert 1e6 < out.stat().st_size - len(asset(LIBRARY)) < 5e6


def test_a_curve_of_very_many_steps_is_shown_by_means() -> None:
    rows = [{"step": step, "loss": float(step)} for step in range(1, 2 * MAX_POINTS + 1)]
    shown = curves(RunFolder(path=Path("run"), label="run", metrics=rows))
    assert shown["rows_per_point"] == 2
    assert shown["step"][:2] == [2, 4]
    assert shown["values"]["loss"][:2] == [1.5, 3.5]


def test_histograms_of_very_many_batches_are_added_up(tmp_path: Path) -> None:
    from oger.reporting.report.run_folder import RunFolder

    rows = [
        {"step": step, "bonus": {"range": [0, 1], "counts": [1, step]}} for step in range(1, 2 * MAX_HISTOGRAMS + 1)
    ]
    shown = histograms(RunFolder(path=tmp_path, label="run", histograms=rows))
    assert len(shown) == MAX_HISTOGRAMS
    assert shown[0] == {"from": 1, "to": 2, "counts": {"bonus": [2, 3]}, "ranges": {"bonus": [0, 1]}}


def test_a_report_runs_no_code_that_a_run_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "planted.py").write_text("open('ran', 'w')\ndef make(argument):\n    raise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    run = make_run(tmp_path / "run", config={"encoder": "planted:make"})
    out = tmp_path / "report.html"
    [said] = build_report([run], out)
    assert "made with ngram, since the run's encoder planted:make cannot be had" in said
    assert not (tmp_path / "ran").exists()
    [entry] = read_data(out.read_text(encoding="utf-8"))["runs"]
    assert "vectors of ngram, not of the run's encoder planted:make" in entry["map"]["about"]
    assert entry["map"]["views"]


def test_an_encoder_with_other_vectors_than_the_runs_is_not_passed_off_as_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    identity = json.loads((run / "encoder.json").read_text())
    (run / "encoder.json").write_text(json.dumps({**identity, "revision": "another"}))
    [said] = build_report([run], tmp_path / "report.html")
    assert "revision was 'another'" in said


def test_a_run_without_teachers_has_no_map(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=1)
    table = read_rollouts(run, 1).to_pylist()
    from oger.runs.rollouts import write_rollouts

    write_rollouts(run, 1, [row for row in table if row["origin"] == "online"])
    assert data_of(run)["runs"][0]["map"]["views"] == []


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    (tmp_path / "empty").mkdir()
    run = make_run(tmp_path / "run", steps=1)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        build_report([tmp_path / "nowhere"], out)
    with pytest.raises(ValueError, match=r"neither config\.yaml nor metrics\.jsonl"):
        build_report([run, tmp_path / "empty"], out)
    with pytest.raises(ValueError, match="given twice"):
        build_report([run, tmp_path / "empty" / ".." / "run"], out)
    with pytest.raises(ValueError, match="at least one run"):
        build_report([], out)
    assert not out.exists()


def test_only_a_report_is_replaced_and_only_when_asked(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=1)
    out = tmp_path / "deep" / "report.html"
    build_report([run], out)
    before = out.read_bytes()
    with pytest.raises(FileExistsError, match="--force"):
        build_report([run], out)
    assert out.read_bytes() == before
    MetricsLog(run / "metrics.jsonl").log(2, {"loss": 1.0})
    build_report([run], out, force=True)
    assert out.read_bytes() != before
    notes = tmp_path / "notes.html"
    notes.write_text("mine")
    with pytest.raises(FileExistsError, match="not made by oger report"):
        build_report([run], notes, force=True)
    assert notes.read_text() == "mine"
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_the_same_folder_gives_the_same_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=3)
    first, second = data_of(run), data_of(run)
    for data in (first, second):
        data.pop("made")
    assert first == second


def test_examples_in_the_docstrings_are_right() -> None:
    modules = [importlib.import_module(f"oger.reporting.report.{name}") for _, name, _ in
               pkgutil.iter_modules(oger.reporting.report.__path__)]  # fmt: skip
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) >= 4
    assert sum(result.failed for result in results) == 0
