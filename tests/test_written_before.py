"""What an earlier Oger wrote is still read: tests/fixtures/written_before, which make_written_before.py beside it made.

Everything goes through the command, as users do it, in a copy of that folder.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from oger.cli.main import main

WRITTEN = Path(__file__).parent / "fixtures" / "written_before"
NO_SERVER = "http://127.0.0.1:9/v1"
CLOSE = {"rel": 1e-4, "abs": 1e-6}  # another processor rounds otherwise
BONUS_BEFORE = "entropy_coef=0.001"  # what the preset luffy_code set when the runs were made

Command = Callable[..., tuple[str, str]]


@pytest.fixture
def oger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command in a copy of the folder, the working directory; returns what it wrote to stdout and stderr."""
    folder = shutil.copytree(WRITTEN, tmp_path / "written")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OGER_DEBUG", raising=False)

    def run(*arguments: str) -> tuple[str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert not caught.value.code, err
        return out, err

    return run


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def assert_same_rows(mine: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> None:
    """Numbers up to rounding, everything else exactly; what depends on the clock, or is new, is left out."""
    assert len(mine) == len(theirs)
    for row, other in zip(mine, theirs, strict=True):
        assert row.keys() >= other.keys()
        for name in other:
            if not re.search("time|runtime|per_second", name):
                expected = pytest.approx(other[name], **CLOSE) if isinstance(other[name], float) else other[name]
                assert row[name] == expected, (row.get("step"), name)


def stored_rows(folder: str) -> list[dict[str, Any]]:
    return [row for path in sorted(Path(folder).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


# --- runs ----------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_evaluated_to_the_numbers_that_it_stored(oger: Command) -> None:
    out, _ = oger("evaluate", "run", "--out", "again.json")
    after = read("run/summary.json")["after"]["id"]
    assert read("again.json")["sets"]["id"] | after == read("again.json")["sets"]["id"], "it says more now"
    assert f"{100 * after['pass@1']:.1f}" in out


@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_the_policies_of_a_run_answer_as_they_did(oger: Command, checkpoint: str) -> None:
    out, _ = oger("sample", "run", "2+3=?", "--samples", "1", "--temperature", "0", "--checkpoint", checkpoint)
    assert out == "--- 1 (18 tokens)\n2+3 is \\boxed{5}.\n"


def test_a_report_shows_what_the_runs_stored(oger: Command) -> None:
    _, err = oger("report", "run", "killed", "--out", "report.html")
    assert err == ""
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', Path("report.html").read_text(), re.S
    )
    assert found is not None
    finished, killed = json.loads(found[1])["runs"]
    metrics = lines("run/metrics.jsonl")
    assert (finished["problems"], killed["problems"]) == ([], [])
    assert (finished["state"], killed["finished"]) == ("finished after 12 steps", False)
    assert finished["curves"]["step"] == list(range(1, 13))
    assert finished["curves"]["values"]["reward/total"] == pytest.approx([row["reward/total"] for row in metrics], 1e-3)
    shown = finished["headline"]["sets"]["id"]["after"]["pass@1"]
    assert shown == pytest.approx(read("run/summary.json")["after"]["id"]["pass@1"], abs=1e-4)
    [alarms] = lines("run/alarms.jsonl")
    step = alarms.pop("step")
    assert finished["alarms"] == [{"step": step, "name": name, "message": said} for name, said in alarms.items()]
    assert alarms.keys() == {"bonus_hacking", "truncated"}
    assert [row["from"] for row in finished["histograms"]] == [row["step"] for row in lines("run/histograms.jsonl")]
    texts = {row["text"] for group in finished["groups"] for row in group["rows"]}
    assert texts <= {row["text"] for row in stored_rows("run/rollouts")}
    assert len(texts) > 16
    assert "Probes: 2 training prompts" in finished["map"]["about"]
    assert finished["environment"]["oger"] == "0.1.0"


def test_a_killed_run_goes_on_from_its_checkpoint_to_the_same_end(oger: Command) -> None:
    out, _ = oger("train", "recipe.yaml", "output_dir=killed", BONUS_BEFORE, "--resume")
    assert "resuming after step 8" in out
    for log in ("metrics.jsonl", "histograms.jsonl", "alarms.jsonl"):
        assert_same_rows(lines(f"killed/{log}"), lines(f"run/{log}"))
    for kind in ("rollouts", "probes", "batches"):
        assert_same_rows(stored_rows(f"killed/{kind}"), stored_rows(f"run/{kind}"))
    mine, theirs = (load_file(f"{run}/model/model.safetensors") for run in ("killed", "run"))
    assert mine.keys() == theirs.keys()
    assert all(mine[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5) for name in theirs)
    now, then = (read(f"{run}/summary.json")["after"]["id"] for run in ("killed", "run"))
    assert now | then == now, "it says more now, and the rest as it was"
    assert read("killed/summary.json")["best"] == read("run/summary.json")["best"]


def test_recorded_batches_are_trained_on_again(oger: Command) -> None:
    options = (
        BONUS_BEFORE,
        "rollouts=replay:run",
        "max_steps=3",
        "rollouts_every=0",
        "validation=null",
        "eval_strategy=no",
        "test={}",
    )
    oger("train", "recipe.yaml", "output_dir=again", *options)
    mine, theirs = lines("again/metrics.jsonl"), lines("run/metrics.jsonl")[:3]
    for name in ("loss", "grad_norm", "reward/total", "divergence/mean", "num_tokens"):
        assert [row[name] for row in mine] == pytest.approx([row[name] for row in theirs], **CLOSE), name


# --- teachers ------------------------------------------------------------------------------------------------------


def test_a_table_is_valid_and_shown_with_its_card(oger: Command) -> None:
    digest = hashlib.sha256(Path("table/table.parquet").read_bytes()).hexdigest()
    assert digest in Path("table/card.md").read_text(), "the table itself is as it was written"
    out, _ = oger("teachers", "validate", "table")
    assert out == "table/table.parquet: a valid table, 24 text prompts, 35 trajectories\n"
    out, _ = oger("teachers", "show", "table", "--rows", "2")
    assert digest in out
    assert "24 prompts, 35 verified trajectories" in out
    assert "1 unknown kind, 16 wrong, 1 contaminated, 1 surplus" in out
    for row in pq.read_table("table/table.parquet").to_pylist()[:2]:
        for trajectory in row["teachers"]:
            told = f"{trajectory['teacher']}, {trajectory['num_tokens']} tokens, from {trajectory['source']}: "
            assert told + trajectory["text"] in out


@pytest.mark.parametrize("form", ["luffy", "trl", "sft"])
def test_a_table_is_exported(oger: Command, form: str) -> None:
    oger("teachers", "export", "table", "--to", form, "--out", "out.parquet")
    rows, table = pq.read_table("out.parquet").to_pylist(), pq.read_table("table/table.parquet").to_pylist()
    texts = [trajectory["text"] for row in table for trajectory in row["teachers"]]
    assert len(texts) > 20
    shown = json.dumps(rows)
    assert all(json.dumps(text)[1:-1] in shown for text in texts)


def test_a_finished_collection_asks_nothing(oger: Command) -> None:
    before = Path("collected.jsonl").read_bytes()
    out, _ = oger("teachers", "collect", "--prompts", "prompts.jsonl", "--out", "collected.jsonl", "--model", "m",
                  "--teacher", "r1", "--samples", "2", "--endpoint", NO_SERVER)  # fmt: skip
    assert "48 of 48 answers (0 new)" in out
    assert Path("collected.jsonl").read_bytes() == before


# --- evaluations and studies ---------------------------------------------------------------------------------------


def test_stored_responses_are_not_drawn_again(oger: Command) -> None:
    [stored] = Path("responses").glob("*/test")
    before = {path.name: path.read_bytes() for path in stored.iterdir()}
    numbers = read("responses/comparison.json")
    _, err = oger("evaluate", "policy", "--benchmarks", "test.jsonl", "--samples", "2", "--max-tokens", "18",
                    "--out", "responses")  # fmt: skip
    assert "drawing 0 of 24" in err
    after = {path.name: path.read_bytes() for path in stored.iterdir()}
    summaries = [json.loads(files.pop("summary.json")) for files in (before, after)]
    assert after == before
    for name, value in summaries[0].items():  # a later version counts more
        assert summaries[1][name] == value, name
    assert summaries[1]["unfinished"] == "wrong"
    assert read("responses/comparison.json") == numbers
    regraded, _ = oger("evaluate", "--regrade", "responses")
    assert "24 responses, 0 verdicts changed" in regraded


@pytest.mark.parametrize("options", [["--tables"], ["--workers", "1"]], ids=["tables alone", "nothing left to run"])
def test_a_study_makes_the_same_tables_and_runs_no_cell_again(oger: Command, options: list[str]) -> None:
    results = Path("study/results")
    before = {path.name: path.read_bytes() for path in results.iterdir()}
    assert {"results.parquet", "outcomes.parquet", "curves.parquet", "leaderboard.md", "leaderboard.csv"} < set(before)
    for path in results.iterdir():
        if path.suffix != ".parquet":
            path.unlink()
    oger("compare", "study.yaml", "--out", "study", *options)
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before
    assert not list(Path("study").rglob("cell.json"))
