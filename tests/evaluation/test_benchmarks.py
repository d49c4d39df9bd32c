"""Benchmark files and loaders, on small self-written files in the layouts of the public data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oger.evaluation.benchmark import find_benchmarks, groups, read_benchmark, shipped
from oger.evaluation.problems import LETTERS, Problem, load_problems
from oger.verification import verify_many

ROWS: dict[str, list[dict[str, Any]]] = {
    "aime24": [
        {"id": 60, "problem": "Find $1+1$.", "solution": "Add.", "answer": "002", "url": "x", "year": "2024"},
        {
            "id": 61,
            "problem": "Find ${3 \\choose 1}$ of {options}.",
            "solution": "",
            "answer": "3",
            "url": "y",
            "year": "2024",
        },
    ],
    "aime25": [{"problem": "Find $2+2$.", "answer": "4", "id": "0"}],
    "amc": [{"id": 0, "problem": "How many?", "answer": 142.0, "url": "x"}],
    "math500": [
        {
            "problem": "Half?",
            "solution": "s",
            "answer": "\\frac{1}{2}",
            "subject": "Algebra",
            "level": 2,
            "unique_id": "test/a/1.json",
        }
    ],
    "minerva": [{"question": "Wavelength in Angstroms?", "answer": "6.7"}, {"question": "And now?", "answer": "1e-3"}],
    "olympiadbench": [
        {
            "id": 1606,
            "question": "Solve.",
            "solution": ["..."],
            "final_answer": ["2", "5"],
            "context": None,
            "is_multiple_answer": True,
        }
    ],
    "arc_challenge": [
        {
            "id": "Mercury_1",
            "question": "Which is wet?",
            "choices": {"text": ["fire", "rain", "dust", "iron"], "label": ["A", "B", "C", "D"]},
            "answerKey": "B",
        },
        {
            "id": "NYSEDREGENTS_2",
            "question": "Which is hot?",
            "choices": {"text": ["fire", "rain", "dust"], "label": ["1", "2", "3"]},
            "answerKey": "1",
        },
    ],
    "gpqa_diamond": [
        {
            "Record ID": "rec1",
            "Question": "Spin?",
            "Correct Answer": "one half\n",
            "Incorrect Answer 1": "one",
            "Incorrect Answer 2": "two",
            "Incorrect Answer 3": "none",
        }
    ],
    "mmlu_pro": [
        {
            "question_id": 70,
            "question": "Which?",
            "options": list("qrstuvwxyz"),
            "answer": "I",
            "answer_index": 8,
            "cot_content": "",
            "category": "law",
            "src": "s",
        }
    ],
}

RIGHT = {
    "aime24": ["2", "3"],
    "aime25": ["4"],
    "amc": ["142"],
    "math500": ["0.5"],
    "minerva": ["6.7", "0.001"],
    "olympiadbench": ["5, 2"],
    "arc_challenge": ["rain", "fire"],
    "gpqa_diamond": ["one half"],
    "mmlu_pro": ["y"],
}


@pytest.fixture(params=["jsonl", "parquet"])
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    for name, rows in ROWS.items():
        if request.param == "jsonl":
            (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    return tmp_path


def problems_of(name: str, data_dir: Path, **options: Any) -> tuple[Problem, ...]:
    return load_problems(shipped()[name], data_dir=data_dir, **options).problems


@pytest.mark.parametrize("name", ROWS)
def test_the_right_answer_of_every_public_layout_is_graded_as_right(name: str, data_dir: Path) -> None:
    problems = problems_of(name, data_dir)
    assert len(problems) == len(ROWS[name])
    answers = []
    for problem, right in zip(problems, RIGHT[name], strict=True):
        if problem.kind == "choice":
            right = LETTERS[problem.metadata["options"].index(right)]
        answers.append(f"So it is \\boxed{{{right}}}.")
    asked = {
        "kind": [problem.kind for problem in problems],
        "metadata": [problem.metadata for problem in problems],
        "rules": shipped()[name].rules,
    }
    golds = [problem.answer for problem in problems]
    assert [verdict.status for verdict in verify_many(golds, answers, **asked)] == ["correct"] * len(problems)
    assert {verdict.status for verdict in verify_many(golds, ["\\boxed{77}"] * len(golds), **asked)} == {"wrong"}


def test_every_shipped_benchmark_has_rows_here_and_the_groups_are_those_of_the_paper() -> None:
    assert set(ROWS) == set(shipped())
    assert groups() == {
        "math": ["aime24", "aime25", "amc", "math500", "minerva", "olympiadbench"],
        "ood": ["arc_challenge", "gpqa_diamond", "mmlu_pro"],
    }
    for benchmark in shipped().values():
        assert benchmark.licence
        assert (benchmark.temperature, benchmark.top_p, benchmark.max_tokens) == (0.6, 1.0, 8192)
        assert benchmark.samples == (32 if benchmark.name in ("aime24", "aime25", "amc") else 1)


def test_a_problem_is_put_into_the_prompt_as_it_stands(data_dir: Path) -> None:
    [_, problem] = problems_of("aime24", data_dir)
    assert problem.prompt == (
        "Find ${3 \\choose 1}$ of {options}.\n\nPlease reason step by step, and put your final answer within \\boxed{}."
    )
    assert not problem.verbatim


def test_options_are_shuffled_by_the_recorded_seed_and_the_problem_alone(data_dir: Path) -> None:
    def orders(seed: int, **options: Any) -> list[list[int]]:
        return [p.metadata["order"] for p in problems_of("mmlu_pro", data_dir, shuffle_seed=seed, **options)]

    assert orders(0) == orders(0) != orders(1)
    assert orders(0) == orders(0, limit=1)
    [problem] = problems_of("mmlu_pro", data_dir)
    texts = [ROWS["mmlu_pro"][0]["options"][place] for place in problem.metadata["order"]]
    assert problem.metadata["options"] == texts
    for letter, text in zip(LETTERS, texts, strict=True):
        assert f"\n{letter}. {text}" in problem.prompt


def test_the_right_option_stands_everywhere_equally_often(tmp_path: Path) -> None:
    row = ROWS["gpqa_diamond"][0]
    rows = [{**row, "Record ID": f"rec{number}"} for number in range(400)]
    (tmp_path / "gpqa_diamond.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [problem.answer for problem in problems_of("gpqa_diamond", tmp_path)]
    assert all(70 <= answers.count(letter) <= 130 for letter in "ABCD")


def test_another_number_of_problems_than_published_is_reported(data_dir: Path) -> None:
    assert load_problems(shipped()["aime24"], data_dir=data_dir).note.startswith("aime24: 2 problems, 30 expected")
    assert not load_problems(shipped()["aime24"], data_dir=data_dir, limit=1).note


def test_without_data_the_line_names_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"aime25 is neither.*--data-dir FOLDER, or run where the hub can be reached"):
        problems_of("aime25", tmp_path)


def test_a_world_and_a_users_file_are_benchmarks(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"question": "1+1=?", "gold": 2}\n{"question": "1+1=?", "gold": 2}\n')
    world, mine = find_benchmarks(["world:arithmetic/ood", str(path)], {"prompt": "question", "answer": "gold"})
    assert (world.name, mine.name, mine.samples) == ("arithmetic-ood", "mine", 8)
    [first, second] = load_problems(mine).problems
    assert (first.prompt, first.answer, first.verbatim) == ("1+1=?", "2", True)
    assert first.id != second.id
    [problem] = load_problems(world, limit=1).problems
    assert (problem.kind, problem.verbatim) == ("reasoning_gym", True)


def test_a_users_benchmark_file_works_like_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"q": "Two?", "a": "2"}\n')
    path = tmp_path / "twos.yaml"
    path.write_text(
        f"source: {tmp_path / 'rows.jsonl'}\ncolumns: {{problem: q, answer: a}}\n"
        "prompt: 'Q: {problem}'\nkind: exact\n"
    )
    [benchmark] = find_benchmarks([str(path)])
    [problem] = load_problems(benchmark).problems
    assert (benchmark.name, problem.prompt, problem.kind) == ("twos", "Q: Two?", "exact")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("source: x/y\n", "needs columns"),
        ("source: x/y\ncolumns: {problem: q}\n", "needs answer"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\nsampels: 3\n", "did you mean 'samples'"),
        ("source: x/y\ncolumns: {problem: q, anwser: a}\n", "did you mean 'answer'"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\nkind: maths\n", "did you mean 'math'"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\nrules: [boxed]\n", "unknown answer rule"),
        ("source: x/y\ncolumns: {problem: q, answer: a, options: o}\n", "belong together"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\ntop_p: 0\n", "top_p"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\nsamples: many\n", "whole number of at least 1, got 'many'"),
        ("source: x/y\ncolumns: {problem: q, answer: a}\ntitle: 3\n", "mine.yaml: title has the wrong type"),
        ("- a\n", "mapping of keys"),
    ],
)
def test_a_wrong_benchmark_file_is_one_clear_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_benchmark(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("aime24", {"answer": None}, r"aime24, row 0: the column 'answer' is empty"),
        ("arc_challenge", {"answerKey": "E"}, "none of the labels A, B, C, D"),
        ("arc_challenge", {"choices": "A B"}, "must be a list of options"),
        ("mmlu_pro", {"options": ["x"]}, "1 options"),
        ("amc", {"answer": {"value": 1}}, "amc, row 0: the answer is dict"),
    ],
)
def test_a_row_that_is_not_in_the_layout_names_itself(tmp_path: Path, name: str, change: dict, message: str) -> None:
    (tmp_path / f"{name}.jsonl").write_text(json.dumps({**ROWS[name][0], **change}) + "\n")
    with pytest.raises(ValueError, match=message):
        problems_of(name, tmp_path)


def test_two_rows_of_one_id_are_refused(tmp_path: Path) -> None:
    (tmp_path / "aime25.jsonl").write_text((json.dumps(ROWS["aime25"][0]) + "\n") * 2)
    with pytest.raises(ValueError, match="row 1 has the id '0' of an earlier row"):
        problems_of("aime25", tmp_path)


def test_an_unknown_benchmark_and_a_map_for_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'math500'"):
        find_benchmarks(["math50"])
    with pytest.raises(ValueError, match="column map"):
        find_benchmarks(["aime24"], {"prompt": "q"})
