import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oger.method.reward import exploration_reward, total_reward, weighted_bonus

NAN, INF = float("nan"), float("inf")

outcomes = st.sampled_from([0.0, 1.0, 0.5, 2.0, -1.0, NAN])
unit = st.floats(0, 1)
rows = st.lists(st.tuples(outcomes, unit, unit, st.booleans()), min_size=1, max_size=8)


def total_of(outcome, divergence, confidence, offline, *, weight=1.0, gate=True):
    """Total rewards of a run whose only shaping reward is OGER's."""
    bonus = exploration_reward(outcome, divergence, confidence, offline, gate=gate)
    return total_reward(outcome, weighted_bonus({"oger": bonus}, {"oger": weight}, offline))


def tensors(rows):
    outcome, divergence, confidence, offline = zip(*rows, strict=True)
    numbers = [torch.tensor(column, dtype=torch.float64) for column in (outcome, divergence, confidence)]
    return *numbers, torch.tensor(offline)


@given(rows=rows, weight=st.floats(0, 3), gate=st.booleans())
@settings(max_examples=150, deadline=None)
def test_rewards_equal_their_definition_row_by_row(rows, weight, gate):
    bonus_G = exploration_reward(*tensors(rows), gate=gate)
    decided = [(0.0 if math.isnan(outcome) else outcome, *rest) for outcome, *rest in rows]
    bonus_of_decided_G = exploration_reward(*tensors(decided), gate=gate)
    total_G = total_of(*tensors(decided), weight=weight, gate=gate)
    torch.testing.assert_close(total_G, tensors(decided)[0] + weight * bonus_of_decided_G)
    for (outcome, divergence, confidence, offline), bonus in zip(rows, bonus_G, strict=True):
        paid = not offline and not math.isnan(outcome) and (outcome >= 1 or not gate)
        expected = divergence * confidence if paid else 0.0
        assert bonus.item() == pytest.approx(expected, abs=1e-15)


@given(rows=rows, weight=st.floats(0, 3))
@settings(max_examples=100, deadline=None)
def test_wrong_is_worth_zero_correct_between_one_and_one_plus_weight_and_a_teacher_its_outcome(rows, weight):
    rows = [(float(not math.isnan(outcome) and outcome >= 1), *rest) for outcome, *rest in rows]
    for (outcome, _, _, offline), total in zip(rows, total_of(*tensors(rows), weight=weight).tolist(), strict=True):
        if offline or outcome == 0:
            assert total == outcome
        else:
            assert 1 <= total <= 1 + weight


def test_undecided_outcome_earns_nothing_and_has_no_total():
    undecided, half, online = torch.tensor([NAN]), torch.tensor([0.5]), torch.tensor([False])
    for gate in (True, False):
        assert exploration_reward(undecided, half, half, online, gate=gate).tolist() == [0.0]
        assert total_of(undecided, half, half, online, gate=gate).isnan().all()


def test_nothing_is_read_on_an_offline_row_but_its_outcome():
    outcome, offline = torch.tensor([1.0, 0.25]), torch.tensor([False, True])
    divergence, confidence = torch.tensor([0.5, NAN]), torch.tensor([0.5, INF])
    assert exploration_reward(outcome, divergence, confidence, offline, gate=False).tolist() == [0.25, 0.0]
    assert total_of(outcome, divergence, confidence, offline).tolist() == [1.25, 0.25]


def test_integer_outcomes_and_several_groups_at_once():
    outcome, half = torch.tensor([[1, 0], [0, 1]]), torch.full((2, 2), 0.5)
    assert total_of(outcome, half, half, torch.zeros(2, 2)).tolist() == [[1.25, 0.0], [0.0, 1.25]]


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("outcome", [1.0, 0.0, NAN])
def test_divergence_or_confidence_that_is_not_finite_is_refused_on_an_online_row(bad, which, outcome):
    arguments = [torch.tensor([outcome]), torch.tensor([0.5]), torch.tensor([0.5]), torch.tensor([False])]
    arguments[which] = torch.tensor([bad])
    with pytest.raises(ValueError, match="on online rows"):
        total_of(*arguments)


@pytest.mark.parametrize("which", [1, 2, 3])
def test_unequal_shapes_are_refused(which):
    arguments = [torch.ones(3), torch.ones(3), torch.ones(3), torch.zeros(3, dtype=torch.bool)]
    arguments[which] = arguments[which][:2]
    with pytest.raises(ValueError, match="must have shape"):
        exploration_reward(*arguments)


def test_empty_group_and_bad_weight_are_refused():
    with pytest.raises(ValueError, match="at least one row"):
        exploration_reward(*[torch.ones(0)] * 4)
    for weight in (NAN, INF):
        with pytest.raises(ValueError, match="the weight of 'oger' must be finite"):
            total_of(*[torch.ones(1)] * 4, weight=weight)


def test_several_shaping_rewards_add_up_on_online_rows():
    offline = torch.tensor([False, False, True])
    values = {"oger": torch.tensor([0.5, 0.0, 9.0]), "mine": torch.tensor([1.0, 2.0, NAN])}
    bonus = weighted_bonus(values, {"oger": 2.0, "mine": -0.25}, offline)
    assert bonus.tolist() == [0.75, -0.5, 0.0]
    assert total_reward(torch.tensor([1.0, 0.0, 1.0]), bonus).tolist() == [1.75, -0.5, 1.0]
    assert weighted_bonus({}, {}, offline).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="the weight of 'mine' must be finite"):
        weighted_bonus(values, {"oger": 1.0}, offline)
    with pytest.raises(ValueError, match="bonus_G must have shape"):
        total_reward(torch.ones(2), bonus)
