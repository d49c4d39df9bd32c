"""Values of the shipped shaping rewards on groups that can be worked by hand."""

import math

import pytest
import torch

from oger.rewards import RewardGroup, load_shaping_reward, shaping_reward_names

NAN = math.nan


def group(**fields) -> RewardGroup:
    """Four rows e1, e1, (e1 + e2) / sqrt 2, e2; the last is the teacher's; outcomes 1 1 0 1."""
    half = math.sqrt(0.5)
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [half, half], [0.0, 1.0]])
    defaults = {
        "prompt": "1+1=?",
        "step": 3,
        "texts": ["a", "a", "b", "t"],
        "origin": ["online", "online", "online", "teacher"],
        "outcome": torch.tensor([1.0, 1.0, 0.0, 1.0]),
        "divergence": torch.tensor([0.1, 0.2, 0.4, 0.0]),
        "confidence": torch.exp(-torch.tensor([0.0, 0.5, 1.0, 0.0])),
        "token_entropy": torch.zeros(4, 2),
        "token_logprob": torch.zeros(4, 2),
        "mask": torch.ones(4, 2, dtype=torch.bool),
        "correctness_gate": True,
        "encode": lambda: (vectors, vectors[3:]),
    }
    return RewardGroup(**(defaults | fields))


def value(name: str, **fields) -> list[float]:
    _, function = load_shaping_reward(name)
    return function(group(**fields)).tolist()


def test_oger_is_divergence_times_confidence_of_correct_online_rows() -> None:
    assert value("oger") == pytest.approx([0.1, 0.2 * math.exp(-0.5), 0.0, 0.0])


def test_oger_without_its_gate_pays_wrong_rows_too() -> None:
    assert value("oger", correctness_gate=False) == pytest.approx([0.1, 0.2 * math.exp(-0.5), 0.4 * math.exp(-1), 0.0])


def test_within_group_diversity_is_the_mean_distance_from_the_other_rows() -> None:
    # Row 0: distances 0 (its copy), 1 - sqrt(1/2), 1 from the others; row 3: 1, 1, 1 - sqrt(1/2).
    near = 1 - math.sqrt(0.5)
    assert value("within_group_diversity") == pytest.approx([(near + 1) / 3] * 2 + [0.0, (2 + near) / 3])


def test_distinct_quality_takes_away_the_share_of_correct_rows_that_say_the_same() -> None:
    assert value("distinct_quality") == pytest.approx([-1 / 2, -1 / 2, 0.0, 0.0]), "of the two other correct rows"
    assert value("distinct_quality", outcome=torch.tensor([1.0, 0.0, 0.0, 0.0])) == [0.0] * 4, "a wrong copy is none"
    assert value("distinct_quality", outcome=torch.tensor([1.0, NAN, 0.0, 1.0])) == [0.0] * 4


def test_elliptical_novelty_equals_the_definition_with_the_inverse_written_out() -> None:
    vectors, _ = group().encode()
    expected = []
    for row in range(4):
        others = torch.cat([vectors[:row], vectors[row + 1 :]]).double()
        covered = 0.1 * torch.eye(2, dtype=torch.float64) + others.T @ others
        x = vectors[row].double()
        expected.append(math.sqrt(0.1 * float(x @ torch.linalg.inv(covered) @ x)))
    expected[2] = 0.0  # the wrong row
    assert value("elliptical_novelty") == pytest.approx(expected, abs=1e-6)


def test_elliptical_novelty_is_one_off_the_beaten_track_and_small_for_a_copy() -> None:
    basis = torch.eye(3)[[0, 0, 0, 1]]
    novelty = value("elliptical_novelty", encode=lambda: (basis, basis[3:]), outcome=torch.ones(4))
    assert novelty[3] == pytest.approx(1.0)
    assert novelty[0] < 0.25


def test_novelty_is_the_distance_from_teachers_and_correct_rows_over_its_mean() -> None:
    # Rows 0 and 1 are e1, row 2 is e2, all correct; the teacher is e3. Distances: row 0 0 + 1 + 1, row 2 1 + 1 + 1.
    vectors = torch.eye(3)[[0, 0, 1, 2]]
    found = value("novelty", encode=lambda: (vectors, vectors[3:]), outcome=torch.ones(4))
    assert found == pytest.approx([6 / 7, 6 / 7, 9 / 7, 0.0])


def test_novelty_of_copies_is_one_each_and_rare_ways_earn_more_than_common_ones() -> None:
    same = torch.eye(2)[[0, 0, 0, 0]]
    assert value("novelty", encode=lambda: (same, same[3:]), outcome=torch.ones(4)) == [1.0, 1.0, 1.0, 0.0]
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.rand(8, 5, generator=generator), dim=1)
    origin = ["online"] * 7 + ["teacher"]
    outcome = torch.tensor([1.0, 0.0, 1.0, 1.0, NAN, 1.0, 0.0, 1.0])
    found = value("novelty", encode=lambda: (vectors, vectors[7:]), origin=origin, outcome=outcome)
    paid = [found[row] for row in (0, 2, 3, 5)]
    assert sum(paid) / 4 == pytest.approx(1.0, abs=1e-6)
    assert [found[row] for row in (1, 4, 6, 7)] == [0.0] * 4


@pytest.mark.parametrize("name", shaping_reward_names())
def test_a_wrong_or_undecided_row_earns_nothing(name: str) -> None:
    assert value(name, outcome=torch.tensor([0.0, NAN, 0.0, NAN])) == [0.0] * 4


@pytest.mark.parametrize("name", shaping_reward_names())
def test_a_single_row_has_nobody_to_differ_from(name: str) -> None:
    one = group(
        texts=["a"], origin=["online"], outcome=torch.ones(1), divergence=torch.zeros(1), confidence=torch.ones(1),
        token_entropy=torch.zeros(1, 2), token_logprob=torch.zeros(1, 2), mask=torch.ones(1, 2, dtype=torch.bool),
        encode=lambda: (torch.eye(2)[:1], torch.zeros(0, 2)),
    )  # fmt: skip
    _, function = load_shaping_reward(name)
    expected = 1.0 if name in ("elliptical_novelty", "novelty") else 0.0
    assert function(one).tolist() == [pytest.approx(expected)]


def test_oger_is_under_fifteen_lines() -> None:
    from pathlib import Path

    import oger.rewards.oger as module

    lines = Path(module.__file__).read_text().splitlines()
    function = lines[next(i for i, line in enumerate(lines) if line.startswith("@shaping_reward")) :]
    assert len(function) < 15
