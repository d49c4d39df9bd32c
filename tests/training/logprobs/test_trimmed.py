"""Forwards without padding give what the one padded forward gives, and compute fewer tokens."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from oger.training.logprobs.fused_head import fused_head_for
from oger.training.logprobs.trimmed import length_chunks, trimmed_log_probs
from tests.support.tiny import tiny_policy
from tests.support.trainers import make_trainer

PROMPTS = [3, 5, 1, 4, 2, 5, 3]
COMPLETIONS = [2, 20, 1, 6, 0, 9, 3]


def uneven_batch() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Rows with prompts padded on the left and completions on the right; one completion is empty."""
    P, T = max(PROMPTS), max(COMPLETIONS)
    mask = torch.zeros(len(PROMPTS), P + T, dtype=torch.long)
    for row, (prompt, completion) in enumerate(zip(PROMPTS, COMPLETIONS, strict=True)):
        mask[row, P - prompt : P + completion] = 1
    ids = torch.randint(3, 20, mask.shape, generator=torch.Generator().manual_seed(0)) * mask
    return ids, mask, T


@pytest.mark.parametrize("num_chunks", [1, 2, 3, 7, 50])
def test_log_probs_entropies_and_gradients_are_those_of_the_padded_forward(tmp_path: Path, num_chunks: int) -> None:
    ids, mask, width = uneven_batch()
    results = []
    for chunks in (1, num_chunks):
        trainer = make_trainer(tmp_path / str(chunks), model=tiny_policy(dtype=torch.float64))
        logps, entropy = trimmed_log_probs(
            trainer._get_per_token_logps_and_entropies,
            trainer.model,
            ids,
            mask,
            width,
            num_chunks=chunks,
            compute_entropy=True,
        )
        seen = mask[:, -width:].bool()
        assert entropy is not None
        (torch.where(seen, logps, 0.0).sum() + torch.where(seen, entropy, 0.0).sum()).backward()
        gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        results.append((logps[seen], entropy[seen], gradients))
    for one, two in zip(*results, strict=True):  # TRL's head gives float32 whatever the policy's type
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize("num_chunks", [1, 2, 3, 7, 50])
def test_every_row_is_in_one_chunk_that_holds_all_its_tokens_and_padding_shrinks(num_chunks: int) -> None:
    _, mask, width = uneven_batch()
    rows, tokens = [], 0
    for chunk, columns in length_chunks(mask, mask.size(1) - width, num_chunks):
        rows += chunk.tolist()
        assert mask[chunk].sum() == mask[chunk][:, columns].sum()
        tokens += mask[chunk][:, columns].numel()
    assert sorted(rows) == list(range(len(PROMPTS)))
    assert tokens <= mask.numel()
    if num_chunks >= 3:
        assert tokens < 0.6 * mask.numel()


IDLE = [True, False, True, True, False, True, False]


@pytest.mark.parametrize("num_chunks", [1, 2, 3, 5, 7, 50])
def test_idle_rows_stay_out_unless_there_would_be_fewer_rows_than_chunks(num_chunks: int) -> None:
    _, mask, width = uneven_batch()
    chunks = list(length_chunks(mask, mask.size(1) - width, num_chunks, idle_R=torch.tensor(IDLE)))
    rows = [row for chunk, _ in chunks for row in chunk.tolist()]
    assert len(chunks) == min(num_chunks, len(IDLE))
    assert all(len(chunk) for chunk, _ in chunks)
    assert len(rows) == len(set(rows)) == max(IDLE.count(False), len(chunks))
    assert {row for row, idle in enumerate(IDLE) if not idle} <= set(rows)


# Plain GRPO, whose failed and solved groups have no advantage.
PLAIN: dict[str, Any] = {"teacher_rows": 0, "exploration_weight": 0.0, "entropy_coef": 0.0}


@pytest.mark.parametrize("dtype", [pytest.param(torch.float32, marks=pytest.mark.soak), torch.float64])
@pytest.mark.parametrize(
    "options",
    [
        PLAIN,
        {**PLAIN, "loss_type": "grpo", "scale_rewards": "group"},
        {**PLAIN, "loss_type": "dapo", "length_chunks": 1},
        {**PLAIN, "num_iterations": 2, "clip": 0.2},
        {**PLAIN, "imitation_weight": 0.5},
        {"replacement": "all_failed", "failed_groups": "spare", "entropy_coef": 0.0},
    ],
    ids=str,
)
def test_a_run_without_idle_rows_is_the_run_with_them(
    tmp_path: Path, options: dict[str, Any], dtype: torch.dtype
) -> None:
    losses, weights, trained, entropies = {}, {}, {}, {}
    for skip in (False, True):
        torch.manual_seed(0)
        trainer = make_trainer(
            tmp_path / str(skip), model=tiny_policy(dtype=dtype), max_steps=3, skip_idle_rows=skip,
            lean_generation=True, **options,
        )  # fmt: skip
        seen = trained.setdefault(skip, [])
        trainer.model.register_forward_hook(
            lambda module, args, kwargs, output, seen=seen: (
                seen.append(len(kwargs["input_ids"])) if torch.is_grad_enabled() else None
            ),
            with_kwargs=True,
        )
        with fused_head_for(torch.device("cpu")) if dtype == torch.float64 else nullcontext():
            trainer.train()
        history = [row for row in trainer.state.log_history if "loss" in row]
        losses[skip] = torch.tensor([(row["loss"], row["grad_norm"]) for row in history], dtype=torch.float64)
        entropies[skip] = torch.tensor([(row["entropy/mean"], row["entropy/last"]) for row in history])
        weights[skip] = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert sum(trained[True]) < sum(trained[False]), "nothing was left out"
    assert losses[False].abs().max() > 1e-3
    exact = dict.fromkeys(("rtol", "atol"), 1e-9 if dtype == torch.float64 else 1e-5)
    torch.testing.assert_close(losses[True], losses[False], **exact)
    torch.testing.assert_close(weights[True], weights[False], **exact)
    torch.testing.assert_close(entropies[True], entropies[False], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{"entropy_coef": 0.01}, {"top_entropy_quantile": 0.5}, {"skip_idle_rows": False}],
    ids=str,
)
def test_idle_rows_stay_where_the_loss_has_other_terms(tmp_path: Path, options: dict[str, Any]) -> None:
    trainer = make_trainer(tmp_path, max_steps=1, lean_generation=True, **{**PLAIN, **options})
    trainer.train()
    assert not any("advantage/idle_share" in row for row in trainer.state.log_history)
