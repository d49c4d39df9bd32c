"""Gold answers that are numbers are one text everywhere; what cannot be one is refused with its row."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, IterableDataset

from oger import OGERConfig, OGERTrainer
from oger.evaluation.benchmark import Benchmark
from oger.evaluation.problems import BenchmarkError, load_problems
from oger.io.answers import AnswerError, answer_text, answer_texts, readable_rows
from oger.io.rows import load_rows
from oger.teachers.collect.plan import Settings, read_prompts
from oger.teachers.curate.clean import DroppedError, clean_gold
from oger.training.loop.data import read_answers
from oger.verification import accuracy_reward
from tests.support.tiny import quiet_options, tiny_policy, tiny_tokenizer

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
    dataset = Dataset.from_list([{"prompt": "a", "answer": 3.0}, {"prompt": "b", "answer": 0.5}])
    assert read_answers(dataset, accuracy_reward, "set")["answer"][:] == ["3", "0.5"]
    assert read_answers({"x": dataset}, [accuracy_reward], "set")["x"]["answer"][:] == ["3", "0.5"]
    assert read_answers(dataset, [lambda completions, **_: [0.0]], "set") is dataset


COLUMNS: dict[str, tuple[pa.Array, list[str]]] = {
    "int8": (pa.array([7, -3], pa.int8()), ["7", "-3"]),
    "uint64": (pa.array([2**64 - 1, 3], pa.uint64()), ["18446744073709551615", "3"]),
    "float16": (pa.array(np.array([0.1, 2], np.float16)), ["0.1", "2"]),
    "float32": (pa.array([0.1, 1e-7], pa.float32()), ["0.1", "0.0000001"]),
    "float64": (pa.array([0.1, 1e16]), ["0.1", "10000000000000000"]),
    "decimal": (pa.array([Decimal("2.50"), Decimal(100)], pa.decimal128(10, 2)), ["2.5", "100"]),
    "bool": (pa.array([True, False]), ["True", "False"]),
    "category": (pa.array([3, 4]).dictionary_encode(), ["3", "4"]),
    "list": (pa.array([[0.1], [2, 3]], pa.list_(pa.float32())), ["0.1", "2, 3"]),
    "text": (pa.array(["1", "x"], pa.large_string()), ["1", "x"]),
}


def parquet(folder: Any, answers: pa.Array) -> str:
    path = folder / "mine.parquet"
    pq.write_table(pa.table({"prompt": ["1+1=?", "2+2=?"], "answer": answers}), path)
    return str(path)


def trainer_of(dataset: Any, folder: Any, model: Any = "folder/that/is/not/there") -> OGERTrainer:
    plain = {"teacher_rows": 0, "exploration_weight": 0.0}
    batch = {"per_device_train_batch_size": 8, "gradient_accumulation_steps": 1}
    args = OGERConfig(**quiet_options(folder, **plain, **batch))
    return OGERTrainer(model, accuracy_reward, args, dataset, processing_class=tiny_tokenizer())


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_numbers_is_one_text_in_training_in_evaluation_in_curation_and_in_python(kind, tmp_path) -> None:
    answers, texts = COLUMNS[kind]
    path = parquet(tmp_path, answers)
    assert [row["answer"] for row in readable_rows(load_rows(path), ["answer"], path)] == texts
    assert [problem.answer for problem in load_problems(benchmark(path)).problems] == texts
    assert [clean_gold(row["answer"]) for row in load_rows(path)] == texts
    dataset = Dataset.from_parquet(path, cache_dir=str(tmp_path))
    for given in (dataset, dataset.with_format("numpy"), dataset.with_format("torch") if kind == "int8" else dataset):
        assert list(trainer_of(given, tmp_path, tiny_policy()).train_dataset["answer"]) == texts


@pytest.mark.parametrize("answers", [[1.0, math.nan], [1, None], [{"a": 1}, {"a": 2}][::-1], [b"1", b"2"]])
def test_a_column_that_holds_no_answers_is_refused_before_the_model_is_looked_for(answers, tmp_path) -> None:
    path = parquet(tmp_path, pa.array(answers))
    with pytest.raises(AnswerError, match=r"^the training set, row [01]: the answer "):
        trainer_of(Dataset.from_parquet(path, cache_dir=str(tmp_path)), tmp_path)


def test_the_reward_reads_numbers_that_a_stream_or_another_trainer_hands_over() -> None:
    stream = IterableDataset.from_generator(lambda: iter([{"answer": 72}, {"answer": np.float64(72.0)}]))
    golds = [row["answer"] for row in stream]
    texts = ["so \\boxed{72}", "\\boxed{7}"]
    assert accuracy_reward(prompts=["?"] * 2, completions=texts, answer=golds) == [1.0, 0.0]
    with pytest.raises(ValueError, match="the batch, row 1: the answer is missing"):
        accuracy_reward(prompts=["?"] * 2, completions=texts, answer=[72, None])
