"""What is known of a run before its policy is loaded: said, or refused, with the file and the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oger.recipes.recipe import Recipe, make_recipe
from oger.training.run import build
from oger.training.run.build import build_trainer, check_start

BOXED = "2 + 2 = \\boxed{4}"


def recipe(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> Recipe:
    data = tmp_path / "mine.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    document = {"model": "world:arithmetic", "train": str(data), "output_dir": str(tmp_path / "run"), "bf16": False}
    return make_recipe({**document, **options}, name="mine")


def rows_of(text: str, answers: list[Any]) -> list[dict[str, Any]]:
    return [{"prompt": "2 + 2?", "answer": answer, "teachers": [{"text": text}]} for answer in answers]


def test_answers_that_are_numbers_become_one_text_column(tmp_path: Path) -> None:
    start = check_start(recipe(tmp_path, rows_of(BOXED, [4, 4.0, "4", True])))
    assert start.train["answer"][:] == ["4", "4", "4", "True"]


@pytest.mark.parametrize("answer", [{"value": 4}, float("nan"), None])
def test_an_answer_that_is_none_names_file_and_row(tmp_path: Path, answer: Any) -> None:
    mine = recipe(tmp_path, rows_of(BOXED, ["4", answer]), model="no/such-model")
    with pytest.raises(ValueError, match=r"mine\.jsonl, row 1"):
        check_start(mine)


def test_how_the_golds_are_written_is_said(tmp_path: Path) -> None:
    notes = check_start(recipe(tmp_path, rows_of(BOXED, ["so\n#### 4", "#### 5"]))).notes
    assert [note.partition("mine.jsonl: ")[2] for note in notes] == [
        "gold answers: 2 read by the rule hash_answer",
        "teachers: 2 of 2 texts looked at pass the answer rule last_boxed",
    ]


def test_teachers_that_never_pass_the_answer_rule_are_said(tmp_path: Path) -> None:
    mine = recipe(tmp_path, rows_of("it is 4", ["4"] * 3), answer_rules=["after_think", "last_boxed"])
    assert "no teacher text passes the answer rule after_think > last_boxed (3 looked at)" in check_start(mine).notes[1]


@pytest.mark.parametrize(
    ("peft", "said"),
    [
        ({"r": 0}, "peft: r=0 must be at least 1."),
        ({"r": 4, "lora_alpha": 0}, "peft: lora_alpha=0 must be above 0."),
        ({"r": 4, "lora_alpha": float("nan")}, "peft: lora_alpha=nan must be above 0."),
        ({"r": 4, "lora_dropout": 2}, "peft: lora_dropout=2 must be at least 0 and at most 1."),
        ({"rank": 4}, "peft: .*unexpected keyword argument 'rank'"),
    ],
)
def test_an_adapter_that_could_learn_nothing_is_refused_before_the_model(tmp_path: Path, peft: Any, said: str) -> None:
    mine = recipe(tmp_path, rows_of(BOXED, ["4"]), model="no/such-model", peft=peft)
    with pytest.raises(ValueError, match=said):
        check_start(mine)


@pytest.mark.parametrize("use_vllm", [True, False])
def test_an_engine_that_does_not_start_is_one_line_and_a_defect_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_vllm: bool
) -> None:
    """As TRL refuses a server without the settings that it needs, which no package here can start."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("The vLLM server at http://gpu:8000 has no\nweight-transfer engine.")

    monkeypatch.setattr(build, "OGERTrainer", refuse)
    mine = recipe(tmp_path, rows_of(BOXED, [4]), use_vllm=use_vllm)
    kind, words = (
        (ValueError, "^cannot start vLLM: The vLLM server .* has no weight") if use_vllm else (RuntimeError, "has no\n")
    )
    with pytest.raises(kind, match=words):
        build_trainer(mine)
