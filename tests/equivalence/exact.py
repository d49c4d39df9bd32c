"""`oger` with every operation in the precision of the weights: python -m tests.equivalence.exact train RECIPE ...

TRL's head and the norms and rotary angles of transformers compute in float32 whatever the weights are. That leaves 1e-7
to 1e-5 of a gradient to the order of sums and to where a row begins in a padded batch. Here they are their textbook
formulas, so that what is left of a difference between two layouts is a difference between them.
Under FSDP, which accelerate offers to GPUs only, `tests/support/fsdp_run.py` takes the place of the command.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
import torch

from oger.cli.main import main


class Head:
    """In the place of `trl.kernels.ChunkedLogProbFunction`, for what `GRPOTrainer` asks of it."""

    @staticmethod
    def apply(
        hidden_NH: torch.Tensor,
        weight_VH: torch.Tensor,
        bias: None,
        target_N: torch.Tensor,
        temperature: float,
        _chunk_size: int,
        softcap: None,
        logit_scale: float,
        outputs: tuple[str, ...],
    ) -> tuple[Any, ...]:
        """(log-probability of each target, entropy or None, None, None, None)"""
        assert bias is None
        assert softcap is None
        assert set(outputs) <= {"log_probs", "entropy"}
        logp_NV = torch.log_softmax(hidden_NH @ weight_VH.T * (logit_scale / temperature), dim=-1)
        entropy_N = -(logp_NV.exp() * logp_NV).sum(dim=-1) if "entropy" in outputs else None
        return logp_NV.gather(1, target_N[:, None])[:, 0], entropy_N, None, None, None


def _norm(self: Any, hidden: torch.Tensor) -> torch.Tensor:
    return self.weight * hidden * torch.rsqrt(hidden.square().mean(-1, keepdim=True) + self.variance_epsilon)


def _angles(self: Any, hidden: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    angle = position_ids[..., None].to(hidden.dtype) * self.inv_freq.to(hidden.dtype)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos() * self.attention_scaling, angle.sin() * self.attention_scaling


def make_exact(patch: pytest.MonkeyPatch) -> None:
    """Puts the formulas in the places of the libraries'."""
    llama = "transformers.models.llama.modeling_llama"
    patch.setattr("trl.trainer.utils._ChunkedLogProbFunction", Head)
    patch.setattr(f"{llama}.LlamaRMSNorm.forward", _norm)
    patch.setattr(f"{llama}.LlamaRotaryEmbedding.forward", _angles)


if __name__ == "__main__":
    make_exact(pytest.MonkeyPatch())
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        from tests.support import fsdp_run

        fsdp_run.main(*sys.argv[2:])
    else:
        main(sys.argv[1:])
