"""Imitation loss: weighted negative log-likelihood of teacher trajectories, beside the policy objective.

    L_imitation = - Σ_rows w(H_row) Σ_t φ(p_t) log p_t  /  (teacher tokens of the optimiser step)

φ and w are constants of the gradient (stop-gradient). With φ = w = 1 this is supervised fine-tuning with the token mean
over the whole step, as in LUFFY's "RL with an SFT loss" baseline (arXiv 2504.14945) and HPT (arXiv 2509.04419);
φ = p (1 - p) is CHORD's token weight (arXiv 2508.11408); w = exp(-H) is SRFT's (arXiv 2506.19767).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from oger.method.checks import require_rank, require_shape
from oger.words import choose

TOKEN_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {  # probabilities -> φ
    "one": torch.ones_like,
    "p_one_minus_p": lambda prob_BT: prob_BT * (1 - prob_BT),
}

ROW_WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {  # mean entropy of the row, nats -> w
    "one": torch.ones_like,
    "exp_minus_entropy": lambda entropy_B: torch.exp(-entropy_B),
}


def imitation_loss(
    logp_BT: Tensor,
    entropy_BT: Tensor,
    mask_BT: Tensor,
    *,
    token_weight: str = "one",
    row_weight: str = "one",
    num_tokens: Tensor | float,
) -> Tensor:
    """This micro-batch's summand of the imitation loss of the optimiser step.

    Outside the mask tensors may hold anything, NaN included.

    Args:
        logp_BT: The policy's log-probabilities of the teachers' tokens, nats, (B, T); gets the gradient.
        entropy_BT: Entropies of the policy at these tokens, nats, (B, T); read by `exp_minus_entropy`.
        mask_BT: Non-zero on teacher tokens, (B, T).
        token_weight: φ: `one` or `p_one_minus_p`.
        row_weight: w: `one` or `exp_minus_entropy` (of the row's mean entropy).
        num_tokens: Teacher tokens of the whole optimiser step, taken as at least 1.

    Returns:
        The summand, 0-d; 0 for a micro-batch without a teacher token.

    Raises:
        ValueError: Unknown weight, wrong rank or unequal shapes.

    >>> logp_BT = torch.log(torch.tensor([[0.5, 0.25]]))
    >>> imitation_loss(logp_BT, torch.zeros(1, 2), torch.ones(1, 2), num_tokens=2)  # (0.6931 + 1.3863) / 2
    tensor(1.0397)
    >>> imitation_loss(logp_BT, torch.zeros(1, 2), torch.ones(1, 2), token_weight="p_one_minus_p", num_tokens=2)
    tensor(0.2166)
    """
    of_token = choose(TOKEN_WEIGHTS, token_weight, "imitation token weight")
    of_row = choose(ROW_WEIGHTS, row_weight, "imitation row weight")
    require_rank("logp_BT", logp_BT, 2)
    require_shape("entropy_BT", entropy_BT, logp_BT.shape)
    require_shape("mask_BT", mask_BT, logp_BT.shape)
    mask_BT = mask_BT.bool()
    logp_BT = torch.where(mask_BT, logp_BT, 0.0)
    with torch.no_grad():
        length_B = mask_BT.sum(-1).clamp(min=1)
        entropy_B = torch.where(mask_BT, entropy_BT, 0.0).sum(-1) / length_B
        weight_BT = of_token(torch.exp(logp_BT)) * of_row(entropy_B)[:, None]
    num_tokens = torch.as_tensor(num_tokens, device=logp_BT.device).clamp(min=1)
    return -torch.where(mask_BT, weight_BT * logp_BT, 0.0).sum() / num_tokens
