"""Gold answers that are numbers are one text everywhere; what cannot be one is refused with its row."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from oger.evaluation.benchmark import Benchmark
from oger.evaluation.problems import BenchmarkError, load_problems
from oger.io.answers import AnswerError, answer_text, answer_texts
from oger.teachers.collect.plan import Settings, read_prompts
from oger.teachers.curate.clean import DroppedError, clean_gold
from oger.training.loop.data import read_answers
from oger.verification import accuracy_reward

READ: list[tuple[Any, str]] = [
    ("3 apples", "3 apples"),
    (72, "72"),
    (-5, "-5"),
    (142.0, "142"),
    (0.5, "0.5"),
    (1e-05, "0.00001"),
    (1e22, "10000000000000000000000"),
    (-0.0, "0"),
    (True, "True"),
    (False, "False"),
    (Decimal("2.50"), "2.5"),
    (Decimal("1E+3"), "1000"),
    (Fraction(1, 3), "1/3"),
    (np.int64(7), "7"),
    (np.float32(0.1), "0.1"),
    (np.float64(2.0), "2"),
    (np.bool_(True), "True"),
    (["1", 2.0], "1, 2"),
]
REFUSED = [
    None,
    math.nan,
    math.inf,
    Decimal("NaN"),
    np.float32("nan"),
    Decimal("1E+9999"),
    {"a": 1},
    [],
    b"3",
    object(),
]


@pytest.mark.parametrize(("value", "text"), READ)
def test_a_number_is_its_digits(value: Any, text: str) -> None:
    assert answer_text(value) == text


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_answer_is_refused_with_its_row_and_file(value: Any) -> None:
    with pytest.raises(AnswerError, match=r"^mine\.jsonl, row 1: the answer [^\n]+$"):
        answer_texts(["1", value], "mine.jsonl")


@pytest.mark.parametrize(("value", "text"), READ)
def test_curation_and_collection_read_them_so(value: Any, text: str) -> None:
    assert clean_gold(value) == text
    settings = Settings(model="m", teacher="t", api="chat")
    assert read_prompts([{"prompt": "?", "answer": value}], settings, "mine").rows[0].answer == text


@pytest.mark.parametrize("value", REFUSED)
def test_curation_has_no_gold_where_there_is_none(value: Any) -> None:
    with pytest.raises(DroppedError) as raised:
        clean_gold(value)
    assert raised.value.reason == "no gold"


def benchmark(path: Any) -> Benchmark:
    return Benchmark(name="mine", source=str(path), columns={"prompt": "prompt", "answer": "answer"})


def test_an_evaluation_reads_them_so(tmp_path: Any) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a", "answer": 142.0}\n{"prompt": "b", "answer": true}\n{"prompt": "c", "answer": 3}\n')
    assert [problem.answer for problem in load_problems(benchmark(path)).problems] == ["142", "True", "3"]
    path.write_text('{"prompt": "a", "answer": 1}\n{"prompt": "b", "answer": {"value": 2}}\n')
    with pytest.raises(BenchmarkError, match="mine, row 1: the answer is dict"):
        load_problems(benchmark(path))


def test_a_data_set_is_read_so_for_ogers_own_reward_alone() -> None:
    from datasets import Dataset

    dataset = Dataset.from_list([{"prompt": "a", "answer": 3.0}, {"prompt": "b", "answer": 0.5}])
    assert read_answers(dataset, accuracy_reward, "set")["answer"][:] == ["3", "0.5"]
    assert read_answers({"x": dataset}, [accuracy_reward], "set")["x"]["answer"][:] == ["3", "0.5"]
    assert read_answers(dataset, [lambda completions, **_: [0.0]], "set") is dataset
