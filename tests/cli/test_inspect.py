from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_a_table_is_inspected_and_written_down(oger, tmp_path: Path) -> None:
    result = oger("inspect", "world:arithmetic/validation", "--limit", 12, "--out", tmp_path / "look")
    assert result.code == 0, result.err
    assert "brisk | methodical" in result.out
    numbers = json.loads((tmp_path / "look" / "inspection.json").read_text())
    assert (numbers["encoder"], numbers["rows_are"]) == ("ngram", "teachers")
    assert (tmp_path / "look" / "inspection.png").stat().st_size > 1000
    again = oger("inspect", "world:arithmetic/validation", "--out", tmp_path / "look")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_rollouts_of_a_policy_are_measured_by_every_scale(oger) -> None:
    result = oger(
        "inspect", "world:arithmetic/validation", "--limit", 4, "--policy", "world:arithmetic", "--samples", 2,
        "--max-tokens", 16, "--encoder", "policy-init", "--part", "equations", "--option", "window=32",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "group_minmax" in result.out
    assert "exceed the window" in result.out
    assert "rollouts are correct" in result.out


def test_whether_the_reward_can_act_is_written_down(oger, tmp_path: Path) -> None:
    result = oger(
        "inspect", "world:numbers/ood_fixed", "--limit", 16, "--policy", "world:numbers", "--max-tokens", 104,
        "--out", tmp_path / "look",
    )  # fmt: skip
    assert result.code == 0, result.err
    found = json.loads((tmp_path / "look" / "inspection.json").read_text())["rollouts"]
    assert found["can_act"] == ("can act" in " ".join(result.out.split()))
    own = found["nats"].pop("the policy's own correct rollouts")
    assert 0 < own["mean"] < min(teacher["mean"] for teacher in found["nats"].values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["world:arithmetic/validation", "--encoder", "ngrm"], "did you mean 'ngram'"),
        (["world:arithmetic/validation", "--option", "lengths"], "KEY=VALUE"),
        (["world:arithmetic/validation", "--option", "lenghts=[1, 2]"], "did you mean 'lengths'"),
        (["world:arithmetic/validation", "--encoder", "policy-init"], "policy-init:FOLDER"),
        (["nowhere.parquet"], "does not exist"),
    ],
)
def test_what_cannot_be_inspected_is_one_line(oger, arguments: list[str], words: str) -> None:
    result = oger("inspect", *arguments)
    assert result.code == 2
    assert words in result.err
    assert len(result.err.strip().splitlines()) == 1
