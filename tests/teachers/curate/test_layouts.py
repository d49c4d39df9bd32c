"""Every layout reads the files that the repository ships, and rows of its public form."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from oger.teachers.curate.layouts import LAYOUTS, load_layout
from oger.teachers.curate.records import BadRowError, Draft, Entry
from tests.support.planted import read_rejects, read_table, run

EXAMPLES = Path(__file__).parents[3] / "examples" / "teachers"

OPENR1 = {
    "problem": "1+1=?",
    "solution": "Two.",
    "answer": "2",
    "uuid": "x",
    "is_reasoning_complete": [True, False, True, True],
    "generations": ["a", "b", None, "d"],
    "correctness_math_verify": [True, False, None],
    "correctness_llama": [None, None, False],
    "finish_reasons": ["stop", None, "length"],
}


def parse(layout: str, row: dict[str, Any]) -> Entry:
    return load_layout(layout).read(row, {})


def test_openr1_rows_keep_completeness_and_claims() -> None:
    entry = parse("openr1", OPENR1)
    assert (entry.prompt, entry.answer) == ("1+1=?", "2")
    assert entry.drafts == (
        Draft("a", claim=True),
        Draft("b", truncated=True, claim=False),
        Draft(None, truncated=True, claim=False),
        Draft("d"),
    )


def test_openr1_rows_may_hold_nulls_for_every_list() -> None:
    names = ("is_reasoning_complete", "correctness_math_verify", "correctness_llama", "finish_reasons")
    entry = parse("openr1", {**OPENR1, **dict.fromkeys(names)})
    assert entry.drafts == (Draft("a"), Draft("b"), Draft(None), Draft("d"))
    assert parse("openr1", {**OPENR1, "generations": None}).drafts == ()


def test_luffy_rows_read_the_target_and_every_further_one_once() -> None:
    target = {"role": "assistant", "content": "a"}
    row: dict[str, Any] = {
        "prompt": [{"role": "user", "content": "?"}],
        "target": [target],
        "reward_model": {"style": "rule", "ground_truth": ["2"]},
        "target_lst": [[target], {"role": "assistant", "content": "b"}, "c"],
    }
    entry = parse("luffy", row)
    assert entry.answer == "2"
    assert [draft.text for draft in entry.drafts] == ["a", "b", "c"]
    with pytest.raises(BadRowError, match="not assistant"):
        parse("luffy", {**row, "target": [{"role": "user", "content": "a"}]})


def test_plain_rows_state_as_much_as_they_know() -> None:
    row = {"prompt": "?", "answer": "1", "text": "t", "teacher": "x", "finish_reason": "length", "correct": 0}
    assert parse("plain", row).drafts == (Draft("t", "x", truncated=True, claim=False),)
    several = {"prompt": "?", "answer": "1", "teacher": "x", "generations": ["a", {"text": "b", "teacher": "y"}]}
    assert parse("plain", several).drafts == (Draft("a", "x"), Draft("b", "y"))
    with pytest.raises(BadRowError, match="is not a verdict"):
        parse("plain", {**row, "correct": "maybe"})


def test_table_rows_take_stored_verdicts_for_claims() -> None:
    cell = [{"teacher": "x", "text": "a", "verdict": "correct", "source": "s"}, {"text": "b", "verdict": "undecided"}]
    entry = parse("table", {"prompt": "?", "answer": "1", "kind": "math", "metadata": None, "teachers": cell})
    assert entry.drafts == (Draft("a", "x", claim=True, note="s"), Draft("b"))


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("openr1", {**OPENR1, "generations": "a"}),
        ("openr1", {**OPENR1, "is_reasoning_complete": True}),
        ("luffy", {"prompt": [], "target": [], "reward_model": "2"}),
        ("plain", {"prompt": "?", "answer": "1", "generations": "a"}),
        ("table", {"prompt": "?", "answer": "1", "kind": "math", "teachers": [3]}),
        ("champ", {"problem": "?", "answer": "1", "solutions": {}}),
    ],
)
def test_another_shape_is_a_bad_row(layout: str, row: dict[str, Any]) -> None:
    with pytest.raises(BadRowError, match="is "):
        parse(layout, row)


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'openr1'"):
        load_layout("open-r1")
    assert set(LAYOUTS) == {"openr1", "luffy", "plain", "table", "world", "champ"}


def test_the_shipped_examples_are_what_their_script_makes(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "make.py", tmp_path)
    subprocess.run([sys.executable, "make.py"], cwd=tmp_path, check=True)
    for name in ("openr1.parquet", "luffy.parquet"):
        assert pq.read_table(EXAMPLES / name).equals(pq.read_table(tmp_path / name))
    for name in ("collected.jsonl", "evaluation.jsonl"):
        assert (EXAMPLES / name).read_text() == (tmp_path / name).read_text()


def test_the_shipped_examples_make_the_documented_table(tmp_path: Path) -> None:
    report = run(
        tmp_path / "out",
        f"r1=openr1:{EXAMPLES / 'openr1.parquet'}",
        f"luffy=luffy:{EXAMPLES / 'luffy.parquet'}",
        f"mine=plain:{EXAMPLES / 'collected.jsonl'}",
        decontaminate=(str(EXAMPLES / "evaluation.jsonl"),),
    )
    assert {name: (teacher.seen, teacher.kept) for name, teacher in report.teachers.items()} == {
        "r1": (11, 5),
        "luffy": (5, 4),
        "small-model": (7, 4),
    }
    assert report.teachers["r1"].dropped == {
        "no text": 1,
        "truncated": 1,
        "no gold": 1,
        "wrong": 1,
        "duplicate": 1,
        "surplus": 1,
    }
    assert report.teachers["luffy"].dropped == {"contaminated": 1}
    assert report.teachers["small-model"].dropped == {"truncated": 1, "wrong": 1, "surplus": 1}
    assert report.teachers["r1"].claims == {"correct/correct": 7, "wrong/wrong": 1}
    assert report.prompts_by_teachers == {2: 5, 3: 1}
    assert report.rejected_rows == {"broken row": 1}
    assert report.rejected_prompts == {"no gold": 1, "contaminated": 1}


def test_a_hub_data_set_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` reads a folder OWNER/NAME of the working directory as it reads one of the hub."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    shutil.copy(EXAMPLES / "openr1.parquet", tmp_path / "owner" / "name" / "train.parquet")
    report = run(tmp_path / "out", "r1=openr1:hub:owner/name")
    assert report.teachers["r1"].seen == 11
    assert read_rejects(tmp_path / "out")[0]["file"] == "hub:owner/name"
    assert len(read_table(tmp_path / "out")) == 5


def test_champ_has_the_known_accuracies(tmp_path: Path) -> None:
    report = run(tmp_path / "out", "champ=champ:", workers=min(2, os.cpu_count() or 1))
    assert report.rows == {"champ": 270}
    assert (report.prompts_kept, report.rejected_prompts) == (85, {"unreadable gold": 185})
    per_problem = 18 * 85  # each model solved each problem under 18 conditions
    found = {name: 100 * teacher.verdicts["correct"] / per_problem for name, teacher in report.teachers.items()}
    known = {"GPT-3.5": 24, "GPT-4": 38, "GPT-4 Turbo": 44, "PaLM 2 Medium": 12}
    assert found == pytest.approx(known, abs=0.6)
    assert sum(teacher.seen for teacher in report.teachers.values()) == 19_440
    sources = {t["source"] for row in read_table(tmp_path / "out") for t in row["teachers"]}
    assert "champ/0-Shot" in sources
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["report"]["teachers"]["GPT-4"]["stages"]["parse"]["in"] == 4860
