import ast
import math
import statistics
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oger.method.advantage import (
    ADVANTAGE_SCALES,
    clamp_teacher_advantage,
    group_advantage,
    spare_failed_groups,
    weigh_positive,
)

NAN, INF = float("nan"), float("inf")
rewards = st.one_of(st.floats(-5, 5, width=32), st.just(NAN), st.sampled_from([0.0, 1.0]))


def trl_nanstd():
    """TRL's own `nanstd`, compiled from its source: importing TRL takes longer than all tests of the method."""
    source = (Path(find_spec("trl").origin).parent / "trainer" / "utils.py").read_text()
    (function,) = (node for node in ast.parse(source).body if getattr(node, "name", None) == "nanstd")
    namespace = {"torch": torch}
    exec(ast.unparse(function), namespace)
    return namespace["nanstd"]


def naive_advantage(rewards, scale, eps):
    decided = [reward for reward in rewards if not math.isnan(reward)]
    if len(decided) < 2:
        return [0.0] * len(rewards)
    mean = statistics.fmean(decided)
    divisor = 1.0 if scale == "none" else statistics.stdev(decided) + eps
    return [0.0 if math.isnan(reward) else (reward - mean) / divisor for reward in rewards]


@pytest.mark.parametrize("scale", ADVANTAGE_SCALES)
@given(group=st.lists(rewards, min_size=1, max_size=9))
@settings(max_examples=100, deadline=None)
def test_advantage_equals_its_definition_and_sums_to_zero(scale, group):
    result = group_advantage(torch.tensor(group, dtype=torch.float64), scale=scale, eps=1e-4)
    expected = torch.tensor(naive_advantage(group, scale, 1e-4), dtype=torch.float64)
    torch.testing.assert_close(result, expected, rtol=1e-9, atol=1e-9)
    assert abs(result.sum().item()) < 1e-9


@pytest.mark.parametrize("scale", ADVANTAGE_SCALES)
@pytest.mark.parametrize("group_size", [2, 3, 4, 7, 8, 16, 33])
def test_advantage_equals_trl_bit_for_bit_in_float32(scale, group_size):
    generator = torch.Generator().manual_seed(group_size)
    reward_NG = torch.randn(64, group_size, generator=generator)
    reward_NG[::2] = (reward_NG[::2] > 0).float() * (1 + torch.rand(32, group_size, generator=generator))
    rewards = reward_NG.flatten()  # from here on the arithmetic of TRL 1.16
    mean = torch.nanmean(rewards.view(-1, group_size), dim=1).repeat_interleave(group_size, dim=0)
    expected = rewards - mean
    if scale == "std":
        std = trl_nanstd()(rewards.view(-1, group_size), dim=1).repeat_interleave(group_size, dim=0)
        expected = expected / (std + 1e-4)
    if scale == "batch":
        expected = expected / (trl_nanstd()(rewards) + 1e-4)
    assert torch.equal(group_advantage(reward_NG, scale=scale, eps=1e-4), expected.view(-1, group_size))


def test_groups_of_a_batch_do_not_mix():
    reward = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    result = group_advantage(reward, scale="std")
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(result[i, j], group_advantage(reward[i, j], scale="std"), rtol=0, atol=1e-14)


@pytest.mark.parametrize("scale", ADVANTAGE_SCALES)
def test_nothing_to_compare_gives_zeros(scale):
    for group in ([3.0], [NAN, NAN], [NAN, 0.7, NAN], [1.0] * 8):
        assert group_advantage(torch.tensor(group), scale=scale).tolist() == [0.0] * len(group)


def test_whole_numbers_are_accepted():
    assert group_advantage(torch.tensor([1, 0])).tolist() == [0.5, -0.5]


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="did you mean 'none'"):
        group_advantage(torch.ones(2), scale="nonne")
    with pytest.raises(ValueError, match="at least one row"):
        group_advantage(torch.ones(3, 0))
    with pytest.raises(ValueError, match="at least one row"):
        group_advantage(torch.tensor(1.0))
    with pytest.raises(ValueError, match="infinite"):
        group_advantage(torch.tensor([1.0, INF]))
    for eps in (0.0, -1.0, NAN, INF):
        with pytest.raises(ValueError, match="eps must be"):
            group_advantage(torch.ones(2), eps=eps)


def test_floor_lifts_teacher_rows_only():
    advantage, offline = torch.tensor([-0.5, -0.5, 0.3, 0.3]), torch.tensor([False, True, False, True])
    lifted = clamp_teacher_advantage(advantage, offline, minimum=0.0)
    torch.testing.assert_close(lifted, torch.tensor([-0.5, 0.0, 0.3, 0.3]))
    assert torch.equal(clamp_teacher_advantage(advantage, offline), advantage)


def test_srfts_weight_of_positive_rollouts_worked_by_hand() -> None:
    # 0.1 * e^0.5 = .164872, 0.1 * e^2 = .738906; a teacher, a wrong row and an undecided one keep their advantage
    advantage = torch.tensor([0.6, 0.6, -0.4, -0.4, 0.6])
    outcome, offline = torch.tensor([1.0, 1.0, 0.0, NAN, 1.0]), torch.tensor([False] * 4 + [True])
    entropy = torch.tensor([0.5, 2.0, 9.0, 9.0, NAN])
    weighed = weigh_positive(advantage, outcome, offline, entropy, weight=0.1, row_weight="exp_entropy")
    torch.testing.assert_close(weighed, torch.tensor([0.098923, 0.443343, -0.4, -0.4, 0.6]), rtol=0, atol=1e-6)
    assert torch.equal(weigh_positive(advantage, outcome, offline, entropy), advantage)
    with pytest.raises(ValueError, match="did you mean 'exp_entropy'"):
        weigh_positive(advantage, outcome, offline, entropy, row_weight="exp_entropi")


def test_bad_floor_and_shapes_are_refused():
    with pytest.raises(ValueError, match="must have shape"):
        clamp_teacher_advantage(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        clamp_teacher_advantage(torch.ones(2), torch.ones(2), minimum=NAN)


def test_rollouts_of_a_failed_group_are_spared_and_its_teacher_is_not() -> None:
    reward_NG = torch.tensor([[0.0, 0.0, 0.0, 1.0], [1.2, 0.0, 0.0, 1.0], [0.0, torch.nan, 0.0, 0.0]])
    offline_NG = torch.tensor([[False, False, False, True]] * 2 + [[False] * 4])
    advantage_NG = group_advantage(reward_NG)
    spared_NG = spare_failed_groups(advantage_NG, reward_NG, offline_NG)
    assert spared_NG[0].tolist() == [0, 0, 0, 0.75]
    assert torch.equal(spared_NG[1], advantage_NG[1])
    assert spared_NG[2].tolist() == [0, 0, 0, 0]
