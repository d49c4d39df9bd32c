"""Aggregation: the loss of an optimiser step is a weighted sum of token losses, normalised once over the whole step.

    dr_grpo  1 / (rows * max length)      grpo  1 / (rows * |rollout_i|)      dapo  1 / (all tokens)

Only these weights depend on the aggregation. Rows and tokens are those of the whole optimiser step, so micro-batches
simply add up. Sources: Dr. GRPO (arXiv 2503.20783), which LUFFY's code (arXiv 2504.14945) and OGER's preset follow;
GRPO (arXiv 2402.03300); DAPO (arXiv 2503.14476). The order of the divisions is TRL's, so that a plain group gives
stock GRPO's loss to the last bit.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from oger.method.checks import require_rank
from oger.words import choose

# (token losses, zero outside the mask (B, T), tokens of each row (B,), max length, micro-batches, tokens of the step)
AGGREGATIONS_OF_LOSS: dict[str, Callable[[Tensor, Tensor, int, int, Tensor], Tensor]] = {
    "dr_grpo": lambda loss_BT, length_B, max_length, num_micro_batches, num_tokens: (
        loss_BT.sum() / (loss_BT.size(0) * max_length) / num_micro_batches
    ),
    "grpo": lambda loss_BT, length_B, max_length, num_micro_batches, num_tokens: (
        (loss_BT.sum(-1) / length_B).mean() / num_micro_batches
    ),
    "dapo": lambda loss_BT, length_B, max_length, num_micro_batches, num_tokens: loss_BT.sum() / num_tokens,
}


def aggregate_loss(
    token_loss_BT: Tensor,
    mask_BT: Tensor,
    *,
    aggregation: str,
    max_length: int,
    num_micro_batches: int = 1,
    num_tokens: Tensor | float = 1,
) -> Tensor:
    """This micro-batch's summand of the loss of the optimiser step.

    Args:
        token_loss_BT: Loss of every token of one micro-batch, (B, T); what lies outside the mask does not count.
        mask_BT: Non-zero on the tokens that carry loss, (B, T).
        aggregation: `dr_grpo`, `grpo` or `dapo`.
        max_length: Longest response that may be generated, in tokens, at least 1; used by `dr_grpo`.
        num_micro_batches: Micro-batches of the optimiser step, all of B rows, at least 1; used by `dr_grpo`, `grpo`.
        num_tokens: Loss tokens of the whole optimiser step, taken as at least 1; used by `dapo`.

    Returns:
        The summand, 0-d; 0 for a micro-batch without a single token.

    Raises:
        ValueError: Unknown aggregation, wrong rank or shape, or a count below 1.

    >>> loss_BT, mask_BT = torch.ones(2, 4), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    >>> aggregate_loss(loss_BT, mask_BT, aggregation="dr_grpo", max_length=5)  # 6 tokens / (2 rows x 5)
    tensor(0.6000)
    >>> aggregate_loss(loss_BT, mask_BT, aggregation="grpo", max_length=5, num_micro_batches=2)
    tensor(0.5000)
    >>> aggregate_loss(loss_BT, mask_BT, aggregation="dapo", max_length=5, num_tokens=12)
    tensor(0.5000)
    """
    aggregate = choose(AGGREGATIONS_OF_LOSS, aggregation, "loss aggregation")
    require_rank("token_loss_BT", token_loss_BT, 2)
    if mask_BT.shape != token_loss_BT.shape or not len(mask_BT):
        raise ValueError(f"mask_BT {tuple(mask_BT.shape)} must match token_loss_BT {tuple(token_loss_BT.shape)}")
    if max_length < 1 or num_micro_batches < 1:
        raise ValueError(f"counts must be at least 1, got {max_length=} and {num_micro_batches=}")
    mask_BT = mask_BT.bool()
    loss_BT = torch.where(mask_BT, token_loss_BT, 0.0)
    num_tokens = torch.as_tensor(num_tokens, device=token_loss_BT.device).clamp(min=1)
    return aggregate(loss_BT, mask_BT.sum(-1).clamp(min=1), max_length, num_micro_batches, num_tokens)
