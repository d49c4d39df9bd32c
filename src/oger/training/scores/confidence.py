"""How sure the policy was of each row, and where the answer stands among a rollout's tokens."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import torch

from oger.method.confidence import REDUCTIONS, confidence, reduce_entropy
from oger.training.batch import ForwardPass, Hesitation, HybridTensors, Rollouts
from oger.training.config import OGERConfig
from oger.training.tokens import token_ends
from oger.verification.formats import extract_span, stated_answer


def hesitation(
    forward: ForwardPass, tensors: HybridTensors, args: OGERConfig, *, span_NT: torch.Tensor | None
) -> Hesitation:
    """Entropies of the rows and the confidence that the run's options make of them."""
    mask_NT = tensors.loss_mask_NT
    seen_N = mask_NT.any(dim=1)
    entropy_NT = forward.entropy_NT
    if entropy_NT is None:
        nan_N = torch.full(seen_N.shape, math.nan, device=seen_N.device)
        return Hesitation(entropy_last_N=nan_N, entropy_mean_N=nan_N, confidence_N=seen_N.to(nan_N))

    def reduced(reduction: str) -> torch.Tensor:
        return reduce_entropy(entropy_NT, mask_NT, reduction=reduction, k=args.entropy_last_k, span_BT=span_NT).float()

    def where_known(value_N: torch.Tensor) -> torch.Tensor:
        return torch.where(forward.entropy_known_N, value_N, math.nan)

    # A row that the loss does not see (a masked truncated one) has no entropy to be confident by.
    confidence_N = confidence(reduced(args.entropy_reduction), scale=args.entropy_scale)
    return Hesitation(
        entropy_last_N=where_known(reduced("last_token")),
        entropy_mean_N=where_known(reduced("mean")),
        confidence_N=torch.where(seen_N, confidence_N, 0.0),
    )


def answer_spans(
    rollouts: Rollouts, tensors: HybridTensors, tokenizer: Any, args: OGERConfig, rules: Sequence[str] | None
) -> torch.Tensor | None:
    """True on the tokens of each online row's answer, (N, T); None unless the run's entropy reduction needs it.

    A row without an answer, or whose teacher took its place, is all False. `rules` as in `answer_tokens`.
    """
    if not REDUCTIONS[args.entropy_reduction].needs_span:
        return None
    span_NT = torch.zeros_like(tensors.completion_ids_NT, dtype=torch.bool)
    for row, ids in enumerate(rollouts.completion_ids):
        if not tensors.offline_N[row]:
            start, end = answer_tokens(ids, tokenizer, rules)
            span_NT[row, start:end] = True
    return span_NT


def answer_tokens(ids: Sequence[int], tokenizer: Any, rules: Sequence[str] | None = None) -> tuple[int, int]:
    """First token of the answer, and the one after its last; (0, 0) where there is none.

    Args:
        rules: by which the outcome reads the answer; None = it does not say, and the answer is where the text states
            one, in a box or otherwise.
    """
    text = tokenizer.decode(ids, skip_special_tokens=True)
    found = extract_span(text, rules) if rules is not None else (stated_answer(text) or (0, 0))[:2]
    if found is None or found[0] == found[1]:
        return 0, 0
    ends = token_ends(ids, tokenizer)
    past = bisect_right(ends, found[1])  # tokens that end with it, the last bytes of its last character included
    return bisect_right(ends, found[0]), past if ends[past - 1] == found[1] else past + 1
