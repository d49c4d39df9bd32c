"""Model cards: what a run's files hold, and nothing where they hold nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oger.io import yaml as yaml_dialect
from oger.runs.card import run_card, write_card
from oger.runs.paths import BEST, MERGED, MODEL
from tests.support.command import Outcome
from tests.support.run_folders import make_run

COUNTS = {"prompts": 12, "without_teachers": 2, "teachers": {"brisk": 9, "calm": 4}}
CHANGE = {"id": {"pass@1": [0.25, 0.1, 0.4], "pass@8": None}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = make_run(tmp_path / "mine", steps=3, config={"method": "oger", "model": "acme/base-1b", "peft": {"r": 4}})
    (folder / "data.json").write_text(json.dumps(COUNTS))
    summary = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps({**summary, "change": CHANGE}))
    environment = {"oger": "0.1.0", "python": "3.11.7", "packages": {"trl": "1.16"}, "command": "oger train x.yaml"}
    (folder / "environment.json").write_text(json.dumps(environment))
    (folder / BEST).mkdir()
    (folder / BEST / "validation.json").write_text(json.dumps({"step": 2, "eval/outcome": 0.4375}))
    return folder


def test_the_card_says_how_the_policy_was_made_and_how_good_it_is(run: Path) -> None:
    card = run_card(run)
    _, head, text = card.split("---\n", 2)
    assert yaml_dialect.load(head)["base_model"] == "acme/base-1b"
    assert yaml_dialect.load(head)["library_name"] == "peft"
    for line in (
        "LoRA adapter trained with", "exp(-H_i) R_m", "12 prompts, 2 of them without a teacher", "| brisk | 9 |",
        "| calm | 4 |", "- seed: 0", "- steps: 3", "oger train x.yaml", "trl 1.16", "@article{oger2026",
        "| in distribution | 25.0 [12.5, 37.5] | 50.0 [37.5, 62.5] | +25.0 [+10.0, +40.0] | 40 x 8 |", "## Licence",
    ):  # fmt: skip
        assert line in text, line


def test_the_card_of_the_best_policy_does_not_claim_the_last_ones_accuracy(run: Path) -> None:
    card = run_card(run, BEST)
    assert "Chosen at step 2 by a validation accuracy of 43.8 %." in card
    assert "not of this one" in card
    assert "not of this one" not in run_card(run, MODEL)
    assert "Model trained with" in run_card(run, MERGED)


def test_a_folder_and_a_world_are_no_base_that_the_hub_knows(tmp_path: Path) -> None:
    for model in ("world:arithmetic", "/data/model", "./model", "runs/a"):
        folder = make_run(tmp_path / model.strip("./").replace("/", "-"), config={"model": model})
        assert "base_model" not in run_card(folder)


def test_a_run_that_has_just_begun_has_a_short_card(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    write_card(folder, folder, MODEL)
    card = (folder / "README.md").read_text()
    assert "## Accuracy" not in card
    assert "None" not in card


def test_push_to_hub_without_a_network_ends_in_one_line_before_anything_is_trained(
    oger: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = oger("train", "smoke", "push_to_hub=true", "hub_model_id=acme/x", "output_dir=r")  # the tests are offline
    assert done.code == 2, done.err
    [line] = [line for line in done.err.splitlines() if line.startswith("error")]
    assert "push_to_hub: the hub cannot be used" in line
    assert "Traceback" not in done.err
    assert not (tmp_path / "r" / "metrics.jsonl").exists()
