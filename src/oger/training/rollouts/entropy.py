"""Entropies of the sampled tokens, taken while they are sampled: no second forward over the rollouts."""

from __future__ import annotations

import torch


class EntropyRecorder:
    """Keeps one number per row and decoding step of one `generate` call.

    The entropy is that of softmax(logits / temperature) before top-k, top-p or any other processor, in nats, as
    `trl.GRPOTrainer` computes it from a forward over the finished rollouts. It is a logits processor of transformers,
    to be the first of its list.

    Args:
        temperature: sampling temperature, above 0 as `OGERConfig` checks.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self._temperature = temperature
        self._steps: list[tuple[torch.Tensor | None, torch.Tensor]] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Records a decoding step of all rows; returns the scores as they are."""
        self.record(scores)
        return scores

    def record(self, logits_RV: torch.Tensor, rows_R: torch.Tensor | None = None) -> None:
        """Records one decoding step.

        Args:
            logits_RV: raw logits of the step; computed on in float64 where they are, else in float32.
            rows_R: indices of their rows in the batch; None for all of them in order.
        """
        if logits_RV.dtype != torch.float64:
            logits_RV = logits_RV.float()
        scaled_RV = logits_RV if self._temperature == 1 else logits_RV / self._temperature
        logp_RV = torch.log_softmax(scaled_RV, dim=-1)
        logp_RV.clamp_(min=torch.finfo(logp_RV.dtype).min)  # a token of probability 0 adds 0, not 0 x infinity
        self._steps.append((rows_R, -torch.linalg.vecdot(logp_RV.exp(), logp_RV)))

    def entropy_NT(self, mask_NT: torch.Tensor, given_N: torch.Tensor | None = None) -> torch.Tensor:
        """Entropies in nats, laid out as the completions of the batch; 0 where the mask is.

        Args:
            mask_NT: nonzero on the sampled tokens that are asked for; it may have more columns than there were steps.
            given_N: tokens of each completion that stand before the first sampled one; None for none.

        Raises:
            ValueError: if the mask asks for a token that no step sampled, such as a teacher's.
        """
        recorded_NT = torch.full(mask_NT.shape, torch.nan, dtype=self._steps[0][1].dtype, device=mask_NT.device)
        for step, (rows_R, entropy_R) in enumerate(self._steps[: mask_NT.shape[1]]):
            recorded_NT[slice(None) if rows_R is None else rows_R, step] = entropy_R
        if given_N is not None:
            step_NT = torch.arange(mask_NT.shape[1], device=mask_NT.device) - given_N[:, None]
            recorded_NT = torch.where(step_NT < 0, torch.nan, recorded_NT.gather(1, step_NT.clamp(min=0)))
        entropy_NT = torch.where(mask_NT.bool(), recorded_NT, 0.0)
        if entropy_NT.isnan().any():
            raise ValueError("the mask asks for tokens that were not sampled: leave the teachers' rows out of it")
        return entropy_NT
