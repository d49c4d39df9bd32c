import pytest
import torch

from oger.method.aggregation import AGGREGATIONS_OF_LOSS, aggregate_loss

MASK_BT = torch.tensor([[1, 1, 0, 0, 0], [1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
TOKEN_LOSS_BT = torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def aggregated(loss_BT, mask_BT, aggregation, num_micro_batches=1):
    return aggregate_loss(
        loss_BT,
        mask_BT,
        aggregation=aggregation,
        max_length=7,
        num_micro_batches=num_micro_batches,
        num_tokens=MASK_BT.sum(),
    )


def test_each_aggregation_is_the_mean_it_is_named_for():
    kept = [
        [x for x, keep in zip(*row, strict=True) if keep] for row in zip(TOKEN_LOSS_BT.tolist(), MASK_BT, strict=True)
    ]
    expected = {
        "dr_grpo": sum(sum(row) for row in kept) / (4 * 7),
        "grpo": sum(sum(row) / max(len(row), 1) for row in kept) / 4,
        "dapo": sum(sum(row) for row in kept) / sum(len(row) for row in kept),
    }
    assert list(expected) == list(AGGREGATIONS_OF_LOSS)
    for aggregation, value in expected.items():
        assert aggregated(TOKEN_LOSS_BT, MASK_BT, aggregation).item() == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("aggregation", AGGREGATIONS_OF_LOSS)
@pytest.mark.parametrize("num_micro_batches", [2, 4])
def test_micro_batches_add_up_to_the_whole_step(aggregation, num_micro_batches):
    rows = 4 // num_micro_batches
    pairs = zip(TOKEN_LOSS_BT.split(rows), MASK_BT.split(rows), strict=True)
    total = sum(aggregated(loss, mask, aggregation, num_micro_batches) for loss, mask in pairs)
    torch.testing.assert_close(total, aggregated(TOKEN_LOSS_BT, MASK_BT, aggregation), rtol=1e-14, atol=0)


@pytest.mark.parametrize("aggregation", AGGREGATIONS_OF_LOSS)
def test_nothing_outside_the_mask_counts_not_even_nan(aggregation):
    clean = TOKEN_LOSS_BT.clone().requires_grad_()
    dirty = torch.where(MASK_BT.bool(), TOKEN_LOSS_BT, torch.nan).requires_grad_()
    losses = [aggregated(loss, MASK_BT, aggregation) for loss in (clean, dirty)]
    assert losses[0] == losses[1]
    gradients = [torch.autograd.grad(loss, x)[0] for loss, x in zip(losses, (clean, dirty), strict=True)]
    assert torch.equal(*gradients)
    assert torch.equal(gradients[0] != 0, MASK_BT.bool())


@pytest.mark.parametrize("aggregation", AGGREGATIONS_OF_LOSS)
def test_a_micro_batch_without_a_token_is_a_differentiable_zero(aggregation):
    loss_BT = torch.ones(2, 3, requires_grad=True)
    total = aggregate_loss(loss_BT, torch.zeros(2, 3), aggregation=aggregation, max_length=1, num_tokens=0)
    total.backward()
    assert total == 0
    assert torch.equal(loss_BT.grad, torch.zeros(2, 3))


def test_a_count_may_be_a_number_or_a_tensor():
    options = {"aggregation": "dapo", "max_length": 1}
    number = aggregate_loss(TOKEN_LOSS_BT, MASK_BT, num_tokens=10, **options)
    assert number == aggregate_loss(TOKEN_LOSS_BT, MASK_BT, num_tokens=torch.tensor(10.0), **options)


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="did you mean 'dr_grpo'"):
        aggregate_loss(TOKEN_LOSS_BT, MASK_BT, aggregation="drgrpo", max_length=1)
    for counts in ({"max_length": 0}, {"max_length": 1, "num_micro_batches": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            aggregate_loss(TOKEN_LOSS_BT, MASK_BT, aggregation="dapo", **counts)
    with pytest.raises(ValueError, match="token_loss_BT must have 2"):
        aggregate_loss(TOKEN_LOSS_BT[0], MASK_BT, aggregation="dapo", max_length=1)
    with pytest.raises(ValueError, match="must match"):
        aggregate_loss(TOKEN_LOSS_BT, MASK_BT[:2], aggregation="dapo", max_length=1)
