"""A run from its recipe: what it leaves, what it refuses, and that a killed one ends as if it had never been killed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from oger.recipes import load_recipe
from oger.runs.metrics_log import read_metrics
from oger.runs.rollouts import PROBES, read_rollouts
from oger.training.run.preview import preview_recipe
from oger.training.run.train import train_recipe
from oger.worlds import load_world
from tests.support.metric_names import is_listed
from tests.support.run_folders import comparable

STEPS = 6
OPTIONS = [f"max_steps={STEPS}", "save_steps=2", "eval_steps=3", "eval_limit=4", "steps_per_generation=2",
           "per_device_train_batch_size=8"]  # fmt: skip


def command(folder: Path, *extra: str) -> list[str]:
    return [sys.executable, "-m", "oger.cli.main", "train", "smoke", *OPTIONS, f"output_dir={folder}", *extra]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    subprocess.run(command(folder), check=True, capture_output=True, timeout=300)
    return folder


def test_run_folder_holds_what_is_promised(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert names == {
        "config.yaml", "environment.json", "data.json", "encoder.json", "metrics.jsonl", "histograms.jsonl", "rollouts",
        "probes", "checkpoints", "before.json", "model", "best",
        "started.yaml", "summary.json",
    }  # fmt: skip
    metrics = read_metrics(whole / "metrics.jsonl")
    assert [row["step"] for row in metrics] == list(range(1, STEPS + 1))
    assert [name for name in {name for row in metrics for name in row} if not is_listed(name)] == []
    assert [row["step"] for row in metrics if "eval/outcome" in row] == [3, 6]
    assert {path.name for path in (whole / "checkpoints").glob("checkpoint-*")} == {"checkpoint-4", "checkpoint-6"}
    assert {"torch", "trl"} <= set(json.loads((whole / "environment.json").read_text())["packages"])
    best = json.loads((whole / "best" / "validation.json").read_text())
    assert best["eval/outcome"] == max(row["eval/outcome"] for row in metrics if "eval/outcome" in row)


def test_every_saved_policy_carries_a_card(whole: Path) -> None:
    counts = json.loads((whole / "data.json").read_text())
    assert len(counts["teachers"]) == 3
    after = json.loads((whole / "summary.json").read_text())["after"]["id"]["pass@1"]
    for policy in ("model", "best"):
        card = (whole / policy / "README.md").read_text()
        assert "from `world:arithmetic`" in card
        assert "exp(-H_i)" in card, "the method's equation"
        assert all(f"| {name} | {count} |" in card for name, count in counts["teachers"].items())
        assert f"{100 * after:.1f} [" in card
        assert f"- steps: {STEPS}" in card
        assert "oger train smoke" in card
        assert "@article{oger2026" in card
    assert "Chosen at step" in (whole / "best" / "README.md").read_text()


def test_summary_has_the_documented_form(whole: Path) -> None:
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["steps"] == STEPS
    assert summary["seed"] == 0
    assert summary["wall_seconds"] > 0
    parts = ["imports", "data", "policy", "evaluation before", "training", "saving", "evaluation after"]
    assert list(summary["parts"]) == parts
    assert sum(summary["parts"].values()) == pytest.approx(summary["wall_seconds"], abs=0.5)
    assert summary["parts"]["training"] >= summary["train_seconds"] - 0.2
    for when in ("before", "after"):
        entry = summary[when]["id"]
        low, high = entry["ci95"]
        assert 0 <= low <= entry["pass@1"] <= high <= 1
        assert "pass@8" in entry
    value, low, high = summary["change"]["id"]["pass@1"]
    assert value == pytest.approx(summary["after"]["id"]["pass@1"] - summary["before"]["id"]["pass@1"])
    assert low <= value <= high


def test_saved_config_is_resolved_and_makes_the_same_recipe(whole: Path) -> None:
    saved = load_recipe(whole / "config.yaml")
    assert saved.training["loss_type"] == "dr_grpo"
    assert saved.training["clip"] == "none"
    asked = load_recipe("smoke", [*OPTIONS, f"output_dir={whole}"])
    assert saved.own == asked.own
    assert {key: saved.training[key] for key in asked.training} == dict(asked.training)


def test_stored_groups_are_hybrid(whole: Path) -> None:
    rows = read_rollouts(whole).to_pylist()
    assert {row["origin"] for row in rows} == {"online", "teacher", "replaced"}
    trained = [row for row in rows if row["origin"] != "replaced"]
    for step, group in {(row["step"], row["group"]) for row in trained}:
        members = [row for row in trained if (row["step"], row["group"]) == (step, group)]
        assert len(members) == 4
        assert sum(row["advantage"] for row in members) == pytest.approx(0, abs=1e-5)


@pytest.mark.soak
def test_killed_run_resumes_to_the_same_end(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen(command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 240
    while len(read_metrics(folder / "metrics.jsonl")) < 5:  # after checkpoint-4, before the end
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "summary.json").exists()
    with open(folder / "metrics.jsonl", "a") as file:
        file.write('{"step": 9, "lo')  # a torn line, as a kill may leave one
    shutil.copy(folder / "probes" / "step-000000.parquet", folder / "probes" / "step-000099.parquet")  # after the end

    resumed = subprocess.run(command(folder, "--resume"), capture_output=True, text=True, timeout=300)
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming after step" in resumed.stdout
    assert comparable(folder) == comparable(whole)
    assert read_rollouts(folder).to_pylist() == read_rollouts(whole).to_pylist()
    probes = [read_rollouts(run, store=PROBES).to_pylist() for run in (folder, whole)]
    assert probes[0] == probes[1]
    assert {row["step"] for row in probes[0]} == set(range(STEPS + 1))
    assert read_metrics(folder / "histograms.jsonl") == read_metrics(whole / "histograms.jsonl")
    mine, theirs = (load_file(run / "model" / "model.safetensors") for run in (folder, whole))
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    summaries = [json.loads((run / "summary.json").read_text()) for run in (folder, whole)]
    assert summaries[0]["after"] == summaries[1]["after"]
    assert summaries[0]["best"] == summaries[1]["best"]


@pytest.mark.parametrize(
    ("options", "resume", "error", "words"),
    [
        ([], False, FileExistsError, "not empty"),
        ([], True, FileExistsError, "has finished"),
        (["output_dir=elsewhere"], True, FileNotFoundError, "no run to resume"),
    ],
)
def test_folder_of_another_run_is_left_alone(
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[str],
    resume: bool,
    error: Any,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with pytest.raises(error, match=words):
        train_recipe(load_recipe("smoke", [*OPTIONS, f"output_dir={whole}", *options]), resume=resume)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_resuming_with_another_recipe_names_what_differs(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text(
        (whole / "config.yaml").read_text().replace(f"output_dir: {whole}", f"output_dir: {folder}")
    )
    recipe = load_recipe("smoke", [*OPTIONS, f"output_dir={folder}", "learning_rate=0.5", "exploration_weight=2"])
    with pytest.raises(ValueError, match=r"learning_rate.*exploration_weight|exploration_weight.*learning_rate"):
        train_recipe(recipe, resume=True)


def test_resuming_compares_what_the_options_mean_not_how_they_are_written(whole: Path, tmp_path: Path) -> None:
    from oger.training.run.folder import _differences

    def recipe(*options: str) -> Any:
        return load_recipe("smoke", [*OPTIONS, f"output_dir={whole}", *options])

    started = load_recipe(whole / "config.yaml")
    assert _differences(started, recipe()) == []
    assert _differences(started, recipe("clip=false", "scale_rewards=false", "weight_decay=0.0")) == []
    assert _differences(started, recipe("max_grad_norm=0.5")) == ["max_grad_norm"]
    assert "clip" in _differences(started, recipe("clip=0.2"))
    assert _differences(recipe("weight_decay=0.1"), recipe()) == ["weight_decay"]


def test_preview_shows_one_whole_group_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = preview_recipe(load_recipe("smoke"))
    assert len({row["group"] for row in rows}) == 1
    assert [row["origin"] for row in rows].count("teacher") == 1
    assert len(rows) == 4 + 1  # with the row that the teacher replaced
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["train=missing.jsonl"], "missing.jsonl"),
        (["model=./nowhere"], "nowhere"),
        (["rewards=[acuracy]"], "accuracy"),
        (["rewards=[os:nothing]"], "os:nothing"),
        (["max_completion_length=4"], "no usable teacher"),
        (["per_device_train_batch_size=6"], "divisible"),
        (["peft={rank: 4}"], "peft"),
        (["replacement=argmin"], "argmin_divergence"),
        (["test={id: nofile.jsonl}"], "nofile.jsonl"),
        (["report_to=wandbb"], "wandbb"),
        (["use_vllm=true"], "vllm"),
    ],
)
def test_a_recipe_that_cannot_run_says_why_and_leaves_nothing(tmp_path: Path, options: list[str], words: str) -> None:
    folder = tmp_path / "run"
    with pytest.raises((ValueError, FileNotFoundError), match=words) as raised:
        train_recipe(load_recipe("smoke", [f"output_dir={folder}", *options]))
    assert "\n" not in str(raised.value)
    assert not folder.exists()


MIXED = [{"prompt": "1", "answer": "2", "teachers": teachers} for teachers in (["a"], [{"text": "a"}])]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"prompt": "1", "answer": "2"}, {"answer": "2"}], "row 1 has no column 'prompt'"),
        ([{"prompt": "1", "answer": "2"}, {"prompt": "1", "answer": None}], "row 1: 'answer' is empty"),
        ([{"prompt": 5, "answer": "2"}], "row 0: prompt must be a text"),
        (MIXED, "different types"),
    ],
)
def test_a_bad_row_of_a_users_file_is_named(tmp_path: Path, rows: list[dict[str, Any]], words: str) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ValueError, match=words):
        train_recipe(load_recipe("smoke", [f"train={data}", f"output_dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_a_model_folder_without_weights_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(load_world("arithmetic").base_policy(), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="cannot start"):
        train_recipe(load_recipe("smoke", [f"model={tmp_path / 'model'}", f"output_dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_validation_may_be_left_out(tmp_path: Path) -> None:
    recipe = load_recipe("smoke", ["validation=null", "test=null", "max_steps=1", f"output_dir={tmp_path / 'run'}"])
    summary = train_recipe(recipe)
    assert summary["before"] == summary["after"] == {}
    assert summary["best"] is None


def test_misspelt_columns_of_a_users_file_are_named(tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps({"prompt": "1+1=?\n", "anwser": "2", "teachers": ["2"]}) + "\n")
    with pytest.raises(ValueError, match="rename 'anwser' to 'answer'"):
        train_recipe(load_recipe("smoke", [f"train={data}", f"output_dir={tmp_path / 'run'}"]))
