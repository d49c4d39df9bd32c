import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oger.method.objective import entropy_bonus, kl_estimate, mixed_policy_loss, online_token_loss, teacher_token_loss
from oger.method.shaping import SHAPINGS

NAN, INF = float("nan"), float("inf")
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "mixed_policy_loss.json").read_text())["cases"]
NAMES = {
    "p_div_p_0.1": {"shaping": "p_over_p_plus_gamma", "gamma": 0.1},
    "p_div_p_0.5": {"shaping": "p_over_p_plus_gamma", "gamma": 0.5},
    "no_reshape": {"shaping": "p"},
    "square_root": {"shaping": "sqrt_p"},
}
CLIPS = [None, (0.2, 0.2), (0.1, 0.4)]


def batch(seed=0, rows=5, width=6, share_offline=0.4):
    """Float64 (logp, old_logp, advantage, mask, offline) with ratios on both sides of every clip."""
    generator = torch.Generator().manual_seed(seed)
    logp = -4 * torch.rand(rows, width, generator=generator, dtype=torch.float64)
    old_logp = logp + 0.5 * torch.randn(rows, width, generator=generator, dtype=torch.float64)
    advantage = torch.randn(rows, generator=generator, dtype=torch.float64)
    mask = torch.rand(rows, width, generator=generator) < 0.7
    offline = torch.rand(rows, generator=generator) < share_offline
    return logp.requires_grad_(), old_logp, advantage, mask, offline


def naive_token_losses(logp, old_logp, advantage, mask, offline, shaping, gamma, clip, delta):
    """The definition, token by token."""
    losses = []
    for b, row in enumerate(logp):
        for t, logp_bt in enumerate(row):
            if not mask[b, t]:
                losses.append(torch.zeros((), dtype=logp.dtype))
                continue
            a = advantage[b] if advantage.ndim == 1 else advantage[b, t]
            p = logp_bt.exp()
            ratio = (logp_bt - old_logp[b, t]).exp()
            if offline[b]:
                f = {"p_over_p_plus_gamma": lambda p=p: p / (p + gamma), "p": lambda p=p: p, "sqrt_p": p.sqrt}[
                    shaping
                ]()
                losses.append(-a * f)
            elif clip is None:
                losses.append(-a * ratio)
            else:
                clipped = ratio.clamp(1 - clip[0], 1 + clip[1])
                unclipped = ratio if delta is None else ratio.clamp(max=delta)
                losses.append(-torch.minimum(unclipped * a, clipped * a))
    return torch.stack(losses).reshape(logp.shape) if losses else torch.zeros(logp.shape)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['seed']}-{case['reshape']}-{case['aggregation']}")
def test_golden_losses_and_gradients_of_the_reference_code(case):
    logp, old_logp, advantage = (
        torch.tensor(case[name], dtype=torch.float64) for name in ("logp", "old_logp", "advantage")
    )
    mask, offline = torch.tensor(case["mask"]), torch.tensor(case["offline_row"])
    clip = None if case["clip"] is None else (1 - case["clip"][0], case["clip"][1] - 1)
    logp.requires_grad_()
    result = mixed_policy_loss(logp, old_logp, advantage, mask, offline, clip=clip, **NAMES[case["reshape"]])
    divisor = {"sum_over_constant": case["constant"], "token_mean": result.token_count}[case["aggregation"]]
    loss = result.loss_sum / divisor
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], rel=0, abs=1e-9)
    on_loss = result.online_loss_sum / result.online_token_count
    assert on_loss.item() == pytest.approx(case["on_loss"], rel=0, abs=1e-9)
    off_loss = result.offline_loss_sum / result.offline_token_count
    assert off_loss.item() == pytest.approx(case["off_loss"], rel=0, abs=1e-9)
    expected = torch.tensor(case["grad_logp"], dtype=torch.float64)
    torch.testing.assert_close(logp.grad, expected, rtol=0, atol=1e-9)


def test_golden_file_covers_every_shaping():
    assert len(GOLDEN) == 32
    assert {NAMES[case["reshape"]]["shaping"] for case in GOLDEN} == set(SHAPINGS)


@pytest.mark.parametrize("shaping", SHAPINGS)
@pytest.mark.parametrize(("clip", "delta"), [*[(clip, None) for clip in CLIPS], ((0.2, 0.2), 1.5)])
@pytest.mark.parametrize("per_token_advantage", [False, True])
def test_losses_and_gradients_equal_the_definition_token_by_token(shaping, clip, delta, per_token_advantage):
    for seed in range(3):
        logp, old_logp, advantage, mask, offline = batch(seed)
        if per_token_advantage:
            advantage = torch.randn(logp.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        options = {"shaping": shaping, "gamma": 0.3, "clip": clip, "delta": delta}
        result = mixed_policy_loss(logp, old_logp, advantage, mask, offline, **options)
        expected = naive_token_losses(logp, old_logp, advantage, mask, offline, *options.values())
        torch.testing.assert_close(result.token_loss_BT, expected, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(result.loss_sum, expected.sum(), rtol=1e-12, atol=1e-14)
        (gradient,) = torch.autograd.grad(result.loss_sum, logp)
        (expected_gradient,) = torch.autograd.grad(expected.sum(), logp)
        torch.testing.assert_close(gradient, expected_gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shaping", SHAPINGS)
@pytest.mark.parametrize("clip", CLIPS)
def test_gradients_equal_finite_differences(shaping, clip):
    logp, *rest = batch(3)
    assert torch.autograd.gradcheck(
        lambda logp: mixed_policy_loss(logp, *rest, shaping=shaping, clip=clip).token_loss_BT, (logp,)
    )


@pytest.mark.parametrize("delta", [None, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_teachers_it_is_trls_loss_exactly(delta, dtype):
    logp, old_logp, advantage, mask, offline = batch(4, rows=8, share_offline=0.0)
    logp = logp.detach().to(dtype).requires_grad_()
    old_logp, advantage = old_logp.to(dtype), advantage.to(dtype)
    result = mixed_policy_loss(logp, old_logp, advantage, mask, offline, clip=(0.2, 0.28), delta=delta)
    coef_1 = torch.exp(logp - old_logp)  # from here on the arithmetic of TRL 1.16
    coef_2 = torch.clamp(coef_1, 1 - 0.2, 1 + 0.28)
    if delta is not None:
        coef_1 = torch.clamp(coef_1, max=delta)
    per_token_loss = -torch.min(coef_1 * advantage.unsqueeze(1), coef_2 * advantage.unsqueeze(1))
    assert torch.equal(result.token_loss_BT, per_token_loss * mask)
    assert torch.equal(result.loss_sum, (per_token_loss * mask).sum())
    (gradient,) = torch.autograd.grad(result.loss_sum, logp)
    (expected,) = torch.autograd.grad((per_token_loss * mask).sum(), logp)
    assert torch.equal(gradient, expected)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("shaping", SHAPINGS)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_padding_of_any_kind_reaches_neither_loss_nor_gradient(clip, shaping, seed):
    logp, old_logp, advantage, mask, offline = batch(seed)
    generator = torch.Generator().manual_seed(seed)
    advantage_BT = advantage.unsqueeze(1).expand(logp.shape)
    rubbish = torch.tensor([NAN, INF, -INF, 1e300, -1e300], dtype=torch.float64)
    results = []
    for pad in (False, True):

        def filled(tensor, pad=pad):
            drawn = rubbish[torch.randint(0, len(rubbish), tensor.shape, generator=generator)]
            return torch.where(mask, tensor.detach(), drawn) if pad else tensor.detach().clone()

        leaf = filled(logp).requires_grad_()
        result = mixed_policy_loss(
            leaf, filled(old_logp), filled(advantage_BT), mask, offline, shaping=shaping, clip=clip
        )
        result.loss_sum.backward()
        values = {field.name: getattr(result, field.name).detach() for field in dataclasses.fields(result)}
        results.append(values | {"gradient": leaf.grad})
    clean, padded = results
    for name, value in clean.items():
        assert torch.isfinite(padded[name]).all(), name
        assert torch.equal(padded[name], value), name


def test_old_log_probs_of_teacher_rows_are_unread():
    logp, old_logp, advantage, mask, _ = batch(5)
    offline = torch.tensor([True, False, True, False, False])
    expected = mixed_policy_loss(logp, old_logp, advantage, mask, offline)
    poisoned = torch.where(offline.unsqueeze(1), NAN, old_logp)
    result = mixed_policy_loss(logp, poisoned, advantage, mask, offline)
    assert torch.equal(result.token_loss_BT, expected.token_loss_BT)
    assert torch.isfinite(torch.autograd.grad(result.loss_sum, logp)[0]).all()


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (3, 0)])
def test_nothing_under_the_mask_is_zero_loss_with_zero_gradients(clip, shape):
    logp = torch.full(shape, NAN, requires_grad=True)
    rows = shape[0]
    result = mixed_policy_loss(
        logp, logp.detach(), torch.ones(rows), torch.zeros(shape), torch.arange(rows) % 2 == 0, clip=clip
    )
    result.loss_sum.backward()
    for field in dataclasses.fields(result):
        assert (getattr(result, field.name) == 0).all(), field.name
    assert torch.equal(logp.grad, torch.zeros(shape))


def test_ratio_of_a_broken_token_stays_finite_and_normal_ratios_are_untouched():
    logp = torch.tensor([[0.0, -500.0, -1.0]], requires_grad=True)
    old_logp = torch.tensor([[-500.0, 0.0, -20.0]])
    result = mixed_policy_loss(logp, old_logp, torch.tensor([-1.0]), torch.ones(1, 3), torch.tensor([False]))
    expected = torch.tensor([[math.exp(20), math.exp(-20), math.exp(19)]])
    torch.testing.assert_close(result.token_loss_BT, expected)
    result.loss_sum.backward()
    torch.testing.assert_close(logp.grad, torch.tensor([[0.0, 0.0, math.exp(19)]]))


def test_old_log_probs_and_advantages_are_constants():
    logp, old_logp, advantage, mask, offline = batch(6)
    old_logp.requires_grad_()
    advantage.requires_grad_()
    mixed_policy_loss(logp, old_logp, advantage, mask, offline).loss_sum.backward()
    assert old_logp.grad is None
    assert advantage.grad is None
    on_policy = mixed_policy_loss(logp, logp, advantage, mask, offline)  # old is the very same tensor
    (gradient,) = torch.autograd.grad(on_policy.loss_sum, logp)
    online_BT = mask & ~offline.unsqueeze(1)
    torch.testing.assert_close(gradient[online_BT], (-advantage.unsqueeze(1) * online_BT)[online_BT])


@pytest.mark.parametrize("shaping", SHAPINGS)
def test_statistics_equal_their_definition(shaping):
    logp, old_logp, advantage, mask, offline = batch(8, rows=8, width=9)
    result = mixed_policy_loss(logp, old_logp, advantage, mask, offline, shaping=shaping, clip=(0.1, 0.3), delta=1.6)
    online, teacher = mask & ~offline.unsqueeze(1), mask & offline.unsqueeze(1)
    ratio, advantage_BT = (logp - old_logp).exp().detach(), advantage.unsqueeze(1).expand(logp.shape)
    expected = {
        "online_loss_sum": result.token_loss_BT[online].sum(),
        "offline_loss_sum": result.token_loss_BT[teacher].sum(),
        "token_count": mask.sum(),
        "online_token_count": online.sum(),
        "offline_token_count": teacher.sum(),
        "clip_low_count": ((ratio < 0.9) & (advantage_BT < 0))[online].sum(),
        "clip_high_count": ((ratio > 1.3) & (advantage_BT > 0))[online].sum(),
        "ratio_sum": ratio[online].sum(),
        "teacher_prob_sum": logp.exp()[teacher].sum(),
        "teacher_weight_sum": SHAPINGS[shaping].weight(logp, 0.1)[teacher].sum(),
    }
    differentiable = {"loss_sum", "token_loss_BT"}
    assert {field.name for field in dataclasses.fields(result)} == set(expected) | differentiable
    for name, value in expected.items():
        statistic = getattr(result, name)
        assert statistic.ndim == 0, name
        assert not statistic.requires_grad, name
        torch.testing.assert_close(statistic, value.detach(), rtol=1e-12, atol=1e-14, msg=name)
        assert statistic != 0, name
    unclipped = mixed_policy_loss(logp, old_logp, advantage, mask, offline)
    assert unclipped.clip_low_count == 0
    assert unclipped.clip_high_count == 0


def test_result_cannot_be_changed():
    result = mixed_policy_loss(*batch())
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.loss_sum = torch.zeros(())


def test_token_losses_stand_alone():
    logp = torch.log(torch.tensor([[0.25]]))
    one = torch.ones(1, 1)
    assert teacher_token_loss(logp, one, shaping="p").item() == pytest.approx(-0.25)
    assert teacher_token_loss(logp, one, shaping="sqrt_p").item() == pytest.approx(-0.5)
    assert teacher_token_loss(logp, one, gamma=0.75).item() == pytest.approx(-0.25)
    assert online_token_loss(2 * one, one, clip=(0.2, 0.3)).item() == pytest.approx(-1.3)
    assert online_token_loss(2 * one, -one, clip=(0.2, 0.3)).item() == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shaping": "sqrtp"}, "did you mean 'sqrt_p'"),
        ({"gamma": 0.0}, "gamma must be"),
        ({"gamma": NAN}, "gamma must be"),
        ({"gamma": INF}, "gamma must be"),
        ({"clip": (-0.1, 0.2)}, "clip must be"),
        ({"clip": (0.1, NAN)}, "clip must be"),
        ({"delta": 2.0}, "needs clip"),
        ({"clip": (0.2, 0.2), "delta": 0.0}, "delta must be above 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mixed_policy_loss(*batch(), **options)


@pytest.mark.parametrize(
    ("which", "bad"),
    [
        (0, torch.zeros(5)),
        (1, torch.zeros(5, 5)),
        (2, torch.zeros(4)),
        (2, torch.zeros(5, 1)),
        (2, torch.zeros(())),
        (3, torch.zeros(6, 5)),
        (4, torch.zeros(6)),
        (4, torch.zeros(5, 5)),
    ],
)
def test_bad_shapes_are_refused_by_name(which, bad):
    arguments = list(batch())
    arguments[which] = bad
    name = ["logp_BT", "old_logp_BT", "advantage_B", "mask_BT", "offline"][which]
    with pytest.raises(ValueError, match=f"{name} must have"):
        mixed_policy_loss(*arguments)


def test_teacher_tokens_may_be_a_part_of_a_row():
    logp, old_logp, advantage, mask, offline = batch()
    part = torch.zeros(logp.shape, dtype=torch.bool)
    part[0, :2] = True
    mixed = mixed_policy_loss(logp, old_logp, advantage, mask, part).token_loss_BT
    taught = mixed_policy_loss(logp, old_logp, advantage, mask, torch.ones_like(offline)).token_loss_BT
    online = mixed_policy_loss(logp, old_logp, advantage, mask, torch.zeros_like(offline)).token_loss_BT
    assert torch.equal(mixed, torch.where(part, taught, online))
    assert not torch.equal(taught, online)


def test_nan_under_the_mask_makes_the_loss_nan():
    clean = torch.full((2, 3), -1.0)
    mask, offline, advantage = torch.ones(2, 3), torch.tensor([False, True]), torch.tensor([1.0, -1.0])
    for row in (0, 1):
        poisoned = clean.clone()
        poisoned[row, 1] = NAN
        assert mixed_policy_loss(poisoned, clean, advantage, mask, offline).loss_sum.isnan()
    assert mixed_policy_loss(clean, clean, torch.tensor([NAN, 1.0]), mask, offline).loss_sum.isnan()


def test_the_kl_estimate_is_exp_of_x_minus_x_minus_one_on_online_tokens_alone():
    logp = torch.tensor([[-1.0, -0.5], [-400.0, math.nan]], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([[-2.0, -0.5], [-1.0, math.nan]], dtype=torch.float64)
    online = torch.tensor([[True, True], [False, False]])
    kl_BT = kl_estimate(logp, ref, online)
    torch.testing.assert_close(kl_BT, torch.tensor([[math.exp(-1), 0.0], [0.0, 0.0]], dtype=torch.float64))
    kl_BT.sum().backward()
    # d/d log pi of exp(x) - x - 1 is 1 - exp(x), and nothing reaches a token that nobody sampled
    expected = torch.tensor([[1 - math.exp(-1), 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(logp.grad, expected)
    old = torch.tensor([[-1.5, -0.5], [math.inf, 0.0]], dtype=torch.float64)
    corrected = kl_estimate(logp, ref, online, old_logp_BT=old)
    torch.testing.assert_close(corrected.detach(), kl_BT.detach() * math.exp(0.5))


def test_the_entropy_bonus_is_a_mean_over_the_online_tokens_of_the_step():
    entropy = torch.tensor([[0.5, 1.5], [math.nan, 2.0]], requires_grad=True)
    online = torch.tensor([[True, True], [False, False]])
    bonus = entropy_bonus(entropy, online, num_tokens=torch.tensor(8.0))
    assert bonus.item() == 0.25
    bonus.backward()
    assert entropy.grad.tolist() == [[0.125, 0.125], [0.0, 0.0]]
    assert entropy_bonus(entropy, torch.zeros_like(online), num_tokens=0).item() == 0.0
