"""Word problems and their teachers: read from worked solutions, never in two splits, wrong at a known rate."""

from collections import Counter
from fractions import Fraction
from itertools import combinations
from random import Random

import pytest

from oger.verification import verify_many
from oger.worlds import load_world
from oger.worlds.word_problems.equations import find_equations, is_true, replace_numbers
from oger.worlds.word_problems.problems import OOD_SPLITS, SPLITS, Problem, draw_split, part_of, read_problem
from oger.worlds.word_problems.teachers import TEACHERS, lines_with_slip, solve, trajectory

CLAMS = Problem(
    template=0,
    question="Sarah can peel 15 clams a minute. She cooks 45 in 12 minutes. How long do 135 clams take?",
    answer="45",
    lines=(
        "Peeling takes 135 clams / 15 clams/minute = 9 minutes",
        "There are 135 clams / 45 clams/batch = 3 batches",
        "Cooking takes 36 minutes because 3 batches x 12 minutes/batch = 36 minutes",
        "Together they take 36 + 9 = 45 minutes.",
    ),
)


@pytest.mark.parametrize(
    ("text", "equations"),
    [
        ("135 clams / 15 clams/minute = 9 minutes", ["135 / 15 = 9"]),
        ("he got 58 minutes because 28 + 30 = 58", ["28 + 30 = 58"]),
        ("The fee is $300,000 x 3/100 = $9,000.", ["300,000 * 3 / 100 = 9,000"]),
        ("7 skeins per cardigan + 18 skeins per tunic = 25 skeins. 3 * 25 = 75", ["7 + 18 = 25", "3 * 25 = 75"]),
        ("330 puppies / 1650 puppies * 100% = 20%", ["330 / 1650 * 100% = 20%"]),
        ("so 0.8*100 = 80 students, 35 × 3 = 105 and 12 ÷ 4 = 3", ["0.8 * 100 = 80", "35 * 3 = 105", "12 / 4 = 3"]),
        ("we get 2x = 84, and 136 + T = 156", []),
        ("5+2(16)=37", []),
        ("William = 442 points", []),
        ("3 / 6 = 1/2", ["3 / 6 = 1"]),  # read, and false: such a solution is not used
    ],
)
def test_equations_are_read_from_prose(text: str, equations: list[str]) -> None:
    assert [equation.text for equation in find_equations(text)] == equations


def test_only_true_equations_are_true() -> None:
    assert [
        is_true(e) for e in find_equations("2 + 3 * 4 = 14; 2 + 3 * 4 = 20; 50% * 50% = 25%; 7 / 2 = 3; 8 / 0 = 0")
    ] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_numbers_are_replaced_by_value_and_only_whole() -> None:
    new = {Fraction(1250): "9", Fraction(3): "7"}
    assert replace_numbers("1,250 and 1250 but 12503, 3.5, 3 and B3", new) == "9 and 9 but 12503, 3.5, 7 and B3"


@pytest.mark.parametrize(
    ("solution", "answer"),
    [
        ("2 + 3 = 6\n#### 6", "6"),  # false
        ("2 + 3 = 5\n#### 5", "6"),  # the last equation makes something else
        ("x = 2 + 3\nThus 2 + 3 = 5\n#### 5", "5"),  # an equation that is no plain arithmetic
        ("5 - 8 = -3\n#### -3", "-3"),
        ("3 / 2 = 1.5\n#### 1.5", "1.5"),
        ("Five.\n#### 5", "5"),
    ],
)
def test_a_solution_that_is_not_plain_arithmetic_is_not_used(solution: str, answer: str) -> None:
    entry = {"question": "How many?", "answer": answer, "metadata": {"answer_cot": solution}}
    assert read_problem(0, entry) is None


def test_a_problem_is_read_without_bullets_empty_decimals_and_idle_lines() -> None:
    solution = "Let's solve this.\n\n1. Plants:\n   - So 220.0 meters / 2.0 meters = 110 plants\n#### 110"
    entry = {
        "question": "It is 220.0 meters long. How many fit?",
        "answer": "110",
        "metadata": {"answer_cot": solution},
    }
    problem = read_problem(21, entry)
    assert problem is not None
    assert problem.lines == ("So 220 meters / 2 meters = 110 plants",)
    assert problem.question == "It is 220 meters long. How many fit?"
    assert problem.asked == "How many fit?"


def test_each_teacher_writes_the_worked_example() -> None:
    assert [solve(CLAMS, teacher) for teacher in TEACHERS] == [
        "Step 1: Peeling takes 135 clams / 15 clams/minute = 9 minutes\n"
        "Step 2: There are 135 clams / 45 clams/batch = 3 batches\n"
        "Step 3: Cooking takes 36 minutes because 3 batches x 12 minutes/batch = 36 minutes\n"
        "Step 4: Together they take 36 + 9 = 45 minutes.\n"
        "\\boxed{45}",
        "135 / 15 = 9\n135 / 45 = 3\n3 * 12 = 36\n36 + 9 = 45\n\\boxed{45}",
        "We are asked: How long do 135 clams take?\n"
        "First, 135 divided by 15 is 9. Next, 135 divided by 45 is 3. Next, 3 times 12 is 36. "
        "Finally, 36 plus 9 is 45.\n"
        "\\boxed{45}",
    ]


def test_a_slip_is_carried_through_the_rest_to_a_wrong_answer() -> None:
    slips_at = Counter()
    for seed in range(40):
        lines = lines_with_slip(CLAMS, Random(seed))
        equations = find_equations("\n".join(lines))
        false = [place for place, equation in enumerate(equations) if not is_true(equation)]
        assert len(false) == 1  # the steps after the slip start from the wrong number and are right themselves
        assert equations[-1].result != CLAMS.answer
        assert lines[2].startswith(f"Cooking takes {equations[2].result} minutes because")
        slips_at[false[0]] += 1
    assert set(slips_at) == {0, 1, 2, 3}


@pytest.mark.parametrize("split", ["validation", *OOD_SPLITS])
def test_every_problem_can_be_told_right_and_wrong_by_every_teacher(split: str) -> None:
    for number, problem in enumerate(draw_split(split, 0)):
        texts = [solve(problem, teacher) for teacher in TEACHERS]
        assert all(text.endswith(f"\n\\boxed{{{problem.answer}}}") for text in texts)
        assert len(set(texts)) == len(texts)
        assert find_equations("\n".join(lines_with_slip(problem, Random(number))))[-1].result != problem.answer


def test_no_problem_is_in_two_splits_whatever_the_seeds() -> None:
    questions = {
        split: {problem.question for seed in range(2) for problem in draw_split(split, seed)} for split in SPLITS
    }
    for left, right in combinations(questions, 2):
        assert not questions[left] & questions[right], (left, right)
    for split in ("train", "validation", "test"):
        assert {part_of(question) for question in questions[split]} == {split}


def test_templates_out_of_distribution_are_never_trained_on() -> None:
    templates = {split: {problem.template for problem in draw_split(split, 0)} for split in SPLITS}
    assert templates["train"] == templates["validation"] == templates["test"]
    for split in OOD_SPLITS:
        assert not templates[split] & templates["train"]
    assert len(templates["train"]) >= 30
    assert len(templates["ood_longer"]) >= 20
    assert max(len(p.equations) for p in draw_split("test", 0)) < min(
        len(p.equations) for p in draw_split("ood_longer", 0)
    )


def test_draws_are_fixed_by_the_seed_and_a_limit_is_a_prefix() -> None:
    world = load_world("word_problems")
    whole = world.raw_trajectories("test", seed=3)
    assert world.raw_trajectories("test", seed=3, limit=50) == whole[:50]
    assert world.raw_trajectories("test", seed=4) != whole
    assert len({row["family"] for row in whole[:10]}) == len({row["family"] for row in whole}) > 1


def test_teachers_err_at_their_rates_and_verification_finds_it() -> None:
    problems = list(draw_split("train", 0))
    for teacher in TEACHERS:
        texts = [trajectory(teacher, problem) for problem in problems]
        verdicts = verify_many(
            [problem.answer for problem in problems], texts, kind="math", metadata=[None] * len(texts)
        )
        right = [verdict.status == "correct" for verdict in verdicts]
        assert right == [text == solve(problem, teacher) for problem, text in zip(problems, texts, strict=True)]
        assert 1 - sum(right) / len(right) == pytest.approx(teacher.error_rate, rel=0.3, abs=0.005)


def test_an_unknown_split_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="ood_longer"):
        load_world("word_problems").raw_trajectories("ood_long")
