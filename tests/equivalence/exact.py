"""`oger`, with the head of the language model in float64: python -m tests.equivalence.exact train RECIPE ...

TRL's head computes in float32 whatever the weights are, which leaves 1e-7 to 1e-6 of a gradient to the order of sums.
Here it is the textbook formula in the precision of the weights, so that what is left of a difference is a difference.
Under FSDP, which accelerate offers to GPUs only, `tests/planning/fsdp_run.py` takes the place of the command.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import trl.trainer.utils

from oger.cli.main import main
from tests.planning import fsdp_run


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


HEAD = "trl.trainer.utils._ChunkedLogProbFunction"
"""What `Head` takes the place of."""


if __name__ == "__main__":
    trl.trainer.utils._ChunkedLogProbFunction = Head  # type: ignore[misc, assignment]
    if os.environ.get("ACCELERATE_USE_FSDP") == "true":
        fsdp_run.main(*sys.argv[2:])
    else:
        main(sys.argv[1:])
