"""`luffy_code` weighs policy gradient, entropy bonus and gradient clip as LUFFY does, whose rows do not divide."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from oger import OGERConfig
from oger.recipes.recipe import load_recipe
from oger.training.objective.loss import StepShare, hybrid_loss
from tests.support.tiny import quiet_options

ROWS, MICRO_BATCHES, LONGEST, VOCABULARY = 64, 2, 6, 5


def test_both_gradients_have_the_ratio_of_luffys_formula(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, LONGEST, VOCABULARY, generator=generator, dtype=torch.float64, requires_grad=True)
    tokens = torch.randint(VOCABULARY, (ROWS, LONGEST), generator=generator)
    advantages = torch.randn(ROWS, generator=generator, dtype=torch.float64)
    mask = torch.arange(LONGEST) < torch.arange(3, 7).repeat(ROWS // 4)[:, None]  # as many tokens in every half
    logps = torch.log_softmax(logits, dim=-1)
    entropy = -(logps.exp() * logps).sum(dim=-1)
    logps = logps.gather(-1, tokens[..., None]).squeeze(-1)
    halves = torch.arange(ROWS).chunk(MICRO_BATCHES)

    # LUFFY, on one GPU: each micro-batch gives its sum over rows / longest response, and 0.001 of its own mean entropy.
    ratio = (logps - logps.detach()).exp()
    policy = sum(-(ratio * advantages[:, None] * mask)[rows].sum() / LONGEST for rows in halves)
    bonus = sum(-0.001 * entropy[rows][mask[rows]].mean() for rows in halves)
    luffy = [torch.autograd.grad(part, logits, retain_graph=True)[0] for part in (policy, bonus)]

    def ours(**options: float) -> torch.Tensor:
        args = OGERConfig(**quiet_options(
            tmp_path, preset="luffy_code", max_completion_length=LONGEST, num_generations=4, **options
        ))  # fmt: skip
        share = StepShare(accumulation=MICRO_BATCHES, steps_per_generation=MICRO_BATCHES, num_processes=1)
        loss = torch.zeros((), dtype=torch.float64)
        for rows in halves:
            inputs = {
                "completion_mask": mask[rows].long(),
                "advantages": advantages[rows],
                "offline": torch.zeros(len(rows), dtype=torch.bool),
                "num_items_in_batch": mask.sum(),
                "num_online_items_in_batch": mask.sum(),
            }
            loss = loss + hybrid_loss(inputs, logps[rows], logps[rows].detach(), entropy[rows], args, share).loss
        return torch.autograd.grad(loss, logits, retain_graph=True)[0]

    without = ours(entropy_coef=0.0)
    with_bonus = ours()
    torch.testing.assert_close(ROWS * without, luffy[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ROWS * (with_bonus - without), luffy[1], rtol=1e-6, atol=1e-12)
    # What LUFFY clips at 1 is 64 times ours.
    clip = load_recipe("paper_7b").training["max_grad_norm"]
    assert clip * ROWS == pytest.approx(1.0)
