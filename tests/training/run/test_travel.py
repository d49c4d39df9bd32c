"""A run folder that has moved with its data and its base model works from another folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from oger.cli.main import main
from oger.io.rows import load_rows
from oger.recipes import load_recipe
from oger.runs.metrics_log import read_metrics
from oger.training.run.train import train_recipe
from oger.worlds import load_world

SMALL = ["max_steps=2", "validation=null", "test={mine: data/test.jsonl}", "rollouts_every=1", "probe_prompts=0"]
SMALL += ["num_generations=4", "per_device_train_batch_size=8", "max_completion_length=48", "eval_samples=1"]
SMALL += ["model=models/base", "train=data/train.jsonl", "output_dir=runs/mine", "save_steps=1"]


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0)


def test_a_moved_run_is_resumed_evaluated_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, new = tmp_path / "project", tmp_path / "deep" / "elsewhere"
    shutil.copytree(load_world("arithmetic").base_policy(), project / "models" / "base")
    (project / "data").mkdir()
    for name, split in (("train", "validation"), ("test", "test")):
        rows = load_rows(f"world:arithmetic/{split}", 16)
        kept = [{key: row[key] for key in ("prompt", "answer", "kind", "metadata", "teachers")} for row in rows]
        lines = map(json.dumps, kept)
        (project / "data" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(project)
    train_recipe(load_recipe("smoke", SMALL))
    run = new / "runs" / "mine"
    new.parent.mkdir()
    project.rename(new)
    monkeypatch.chdir(tmp_path)
    for made_last in ("model", "checkpoints/checkpoint-2"):  # as if it had been killed in its second step
        shutil.rmtree(run / made_last)
    (run / "summary.json").unlink()

    assert command("train", str(run / "config.yaml"), "--resume") == 0
    assert [row["step"] for row in read_metrics(run / "metrics.jsonl")] == [1, 2]
    assert command("evaluate", str(run), "--samples", "1", "--limit", "2") == 0
    assert command("sample", str(run), "3-5=?", "--samples", "1") == 0
    assert command("report", str(run), "-o", str(tmp_path / "report.html")) == 0
    assert not project.exists()
