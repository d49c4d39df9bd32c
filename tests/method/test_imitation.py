"""The imitation loss against numbers worked by hand and a loop over tokens."""

from __future__ import annotations

import math

import pytest
import torch

from oger.method.imitation import ROW_WEIGHTS, TOKEN_WEIGHTS, imitation_loss

PROBS = torch.tensor([[0.5, 0.25, 0.9], [0.1, 1.0, 0.4]], dtype=torch.float64)
ENTROPY = torch.tensor([[0.2, 0.6, 9.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
MASK = torch.tensor([[1, 1, 0], [1, 0, 0]])


def test_supervised_fine_tuning_is_the_token_mean_worked_by_hand() -> None:
    # -(ln .5 + ln .25 + ln .1) / 3 = (0.693147 + 1.386294 + 2.302585) / 3
    loss = imitation_loss(PROBS.log(), ENTROPY, MASK, num_tokens=3)
    assert loss.item() == pytest.approx(1.460675, abs=1e-6)


def test_chords_token_weight_worked_by_hand() -> None:
    # .25 * .693147 + .1875 * 1.386294 + .09 * 2.302585 = .640450; / 3
    loss = imitation_loss(PROBS.log(), ENTROPY, MASK, token_weight="p_one_minus_p", num_tokens=3)
    assert loss.item() == pytest.approx(0.213483, abs=1e-6)


def test_srfts_row_weight_worked_by_hand() -> None:
    # exp(-.4) * 2.079442 + exp(-1) * 2.302585 = 1.393892 + .847074 = 2.240966; / 3
    loss = imitation_loss(PROBS.log(), ENTROPY, MASK, row_weight="exp_minus_entropy", num_tokens=3)
    assert loss.item() == pytest.approx(0.746989, abs=1e-6)


@pytest.mark.parametrize("token_weight", TOKEN_WEIGHTS)
@pytest.mark.parametrize("row_weight", ROW_WEIGHTS)
def test_weights_are_constants_of_the_gradient(token_weight: str, row_weight: str) -> None:
    logp = PROBS.log().requires_grad_()
    imitation_loss(logp, ENTROPY, MASK, token_weight=token_weight, row_weight=row_weight, num_tokens=3).backward()
    for row in range(2):
        length = int(MASK[row].sum())
        entropy = ENTROPY[row, :length].mean().item()
        for token in range(3):
            prob = PROBS[row, token].item()
            phi = prob * (1 - prob) if token_weight == "p_one_minus_p" else 1.0
            w = math.exp(-entropy) if row_weight == "exp_minus_entropy" else 1.0
            expected = -phi * w / 3 if MASK[row, token] else 0.0
            assert logp.grad is not None
            assert logp.grad[row, token].item() == pytest.approx(expected, abs=1e-12)


def test_micro_batches_add_up() -> None:
    whole = imitation_loss(PROBS.log(), ENTROPY, MASK, num_tokens=3)
    parts = [
        imitation_loss(PROBS[i : i + 1].log(), ENTROPY[i : i + 1], MASK[i : i + 1], num_tokens=3) for i in range(2)
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_what_lies_outside_the_mask_reaches_nothing() -> None:
    logp = PROBS.log().clone()
    logp[MASK == 0] = math.nan
    entropy = torch.where(MASK == 0, math.nan, ENTROPY)
    logp.requires_grad_()
    loss = imitation_loss(logp, entropy, MASK, row_weight="exp_minus_entropy", num_tokens=3)
    loss.backward()
    assert loss.isfinite()
    assert logp.grad is not None
    assert logp.grad.isfinite().all()


def test_no_teacher_token_is_a_loss_of_zero() -> None:
    assert imitation_loss(PROBS.log(), ENTROPY, torch.zeros(2, 3), num_tokens=0).item() == 0.0


@pytest.mark.parametrize("option", ["token_weight", "row_weight"])
def test_an_unknown_weight_names_the_nearest(option: str) -> None:
    with pytest.raises(ValueError, match="did you mean 'one'"):
        imitation_loss(PROBS.log(), ENTROPY, MASK, num_tokens=3, **{option: "onee"})  # type: ignore[arg-type]
