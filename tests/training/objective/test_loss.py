"""The loss of a micro-batch against a naive version, and its independence of how a step is cut into micro-batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from oger import OGERConfig, OGERTrainer
from oger.training.objective.loss import StepShare, hybrid_loss
from tests.support.tiny import contains_answer, quiet_options, tiny_policy, tiny_tokenizer, toy_dataset

LENGTHS = [3, 5, 1, 4]
MAX_LENGTH = 6


def micro_batch(seed: int = 0) -> tuple[dict[str, Any], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Four rows, the second a teacher's; padding holds NaN, as nothing may read it."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.tensor([[float(t < length) for t in range(MAX_LENGTH)] for length in LENGTHS])

    def numbers(scale: float) -> torch.Tensor:
        return torch.rand(4, MAX_LENGTH, generator=generator, dtype=torch.float64) * scale

    logps = (-numbers(2.0)).requires_grad_()
    old = (logps + numbers(0.6) - 0.3).detach()
    entropy = numbers(3.0).requires_grad_()
    inputs = {
        "completion_mask": mask.long(),
        "offline": torch.tensor([False, True, False, False]),
        "advantages": torch.tensor([0.8, 0.5, -0.9, -0.4], dtype=torch.float64),
        "num_items_in_batch": torch.tensor(sum(LENGTHS)),
        "num_online_items_in_batch": torch.tensor(sum(LENGTHS) - LENGTHS[1]),
        "ref_per_token_logps": (logps + numbers(0.4) - 0.2).detach(),
    }
    return inputs, logps, old, entropy


def naive(
    inputs: dict[str, Any], logps: torch.Tensor, old: torch.Tensor, entropy: torch.Tensor, args: OGERConfig, gate: Any
) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    bonus = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(LENGTHS):
        advantage, teacher = inputs["advantages"][row], bool(inputs["offline"][row])
        weight = {"dr_grpo": 1 / (4 * MAX_LENGTH), "grpo": 1 / (4 * length), "dapo": 1 / sum(LENGTHS)}[args.loss_type]
        for t in range(length):
            if teacher:
                p = logps[row, t].exp()
                token = -advantage * p / (p + args.shaping_gamma)
            else:
                ratio = (logps[row, t] - old[row, t]).exp()
                token = -ratio * advantage
                if args.clip_range is not None:
                    low, high = args.clip_range
                    token = -torch.min(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
                token = token * gate[row, t]
                difference = inputs["ref_per_token_logps"][row, t] - logps[row, t]
                kl = difference.exp() - difference - 1
                token = token + args.beta * kl * (ratio if args.use_bias_correction_kl else 1.0)
                bonus = bonus + entropy[row, t]
            total = total + weight * token
    return total - args.entropy_coef * bonus / (sum(LENGTHS) - LENGTHS[1])


@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo", "dapo"])
@pytest.mark.parametrize("clip", ["none", 0.1])
@pytest.mark.parametrize(("beta", "corrected"), [(0.0, False), (0.3, False), (0.3, True)])
def test_loss_and_gradients_equal_the_naive_version(
    tmp_path: Path, loss_type: str, clip: Any, beta: float, corrected: bool
) -> None:
    args = OGERConfig(
        **quiet_options(
            tmp_path,
            loss_type=loss_type,
            clip=clip,
            beta=beta,
            entropy_coef=0.01,
            use_bias_correction_kl=corrected,
            max_completion_length=MAX_LENGTH,
        )
    )
    inputs, logps, old, entropy = micro_batch()
    gate = torch.linspace(0.5, 1.5, 4 * MAX_LENGTH, dtype=torch.float64).view(4, MAX_LENGTH)
    share = StepShare(accumulation=1, steps_per_generation=1, num_processes=1)
    mine = hybrid_loss(inputs, logps, old, entropy, args, share, token_gate_BT=gate).loss
    expected = naive(inputs, logps, old, entropy, args, gate)
    torch.testing.assert_close(mine, expected, rtol=1e-7, atol=0)  # token counts divide in float32, as in TRL
    for variable in (logps, entropy):
        gradient, wanted = (torch.autograd.grad(loss, variable, retain_graph=True)[0] for loss in (mine, expected))
        torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-12)
    assert torch.autograd.grad(mine, entropy)[0][1].abs().max() == 0, "a teacher token gets no entropy bonus"


def make_trainer(tmp_path: Path, **options: Any) -> OGERTrainer:
    return OGERTrainer(
        model=tiny_policy(dtype=torch.float64),
        reward_funcs=contains_answer,
        args=OGERConfig(**quiet_options(tmp_path, **options)),
        train_dataset=toy_dataset(),
        processing_class=tiny_tokenizer(),
    )


@pytest.mark.parametrize("preset", ["luffy_code", "paper_text"])
@pytest.mark.parametrize("loss_type", ["dr_grpo", "grpo", "dapo"])
def test_a_step_has_one_gradient_however_it_is_cut(tmp_path: Path, preset: str, loss_type: str) -> None:
    options = {"preset": preset, "loss_type": loss_type, "entropy_coef": 0.01, "per_device_train_batch_size": 16,
               "gradient_accumulation_steps": 1}  # fmt: skip
    trainer = make_trainer(tmp_path, **options)
    trainer.model.train()
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    # Sorted by length, so that micro-batches differ as much as they can; one holds no teacher row.
    order = torch.argsort(batch["completion_mask"].sum(1) + 100 * batch["offline"])
    gradients = []
    for pieces in (1, 2, 4, 8):
        trainer.model.zero_grad()
        trainer.current_gradient_accumulation_steps = pieces
        trainer.args.steps_per_generation = pieces
        for rows in order.chunk(pieces):
            part = {name: tensor[rows] if tensor.ndim else tensor for name, tensor in batch.items()}
            trainer._compute_loss(trainer.model, part).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]))
    for gradient in gradients[1:]:
        largest = gradients[0].abs().max().item()
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-5, atol=1e-6 * largest)
    assert not batch["offline"][order.chunk(8)[0]].any()


@pytest.mark.parametrize("mode", ["token_truncate", "token_mask", "sequence_truncate", "sequence_mask"])
def test_an_engine_is_asked_for_online_rows_only_and_teacher_rows_have_ratio_one(tmp_path: Path, mode: str) -> None:
    trainer = make_trainer(
        tmp_path, vllm_importance_sampling_mode=mode, vllm_importance_sampling_clip_max=3.0, max_steps=1
    )
    tokenizer = tiny_tokenizer()
    asked: list[int] = []

    def engine(prompt_ids: Any, images: Any, fields: Any, num_generations: int, **_: Any) -> Any:
        """Stands where TRL's engines do: token ids and log-probabilities of sampled tokens, one of them missing."""
        asked.append(len(prompt_ids))
        ids = [[*tokenizer("abc"[index % 3] * (1 + index % 5))["input_ids"], 1] for index in range(len(prompt_ids))]
        return ids, [[-3.0 if t else None for t in range(len(row))] for row in ids]

    trainer._generate_single_turn = engine  # type: ignore[method-assign]
    trainer.use_vllm = trainer.args.use_vllm = True
    trainer.model.train()
    batch = trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert asked == [16]
    ratio, offline = batch["importance_sampling_ratio"], batch["offline"]
    assert offline.sum() == 4
    assert torch.equal(ratio[offline], torch.ones_like(ratio[offline]))
    assert not torch.equal(ratio[~offline], torch.ones_like(ratio[~offline]))
    assert ratio.max() <= 3.0
    trainer.current_gradient_accumulation_steps = 2
    assert math.isfinite(trainer._compute_loss(trainer.model, batch).item())
    means = trainer._sums["train"].means(trainer.accelerator)
    assert means["sampling/logp_difference"] > 0


def test_a_teacher_token_that_is_all_but_impossible_leaves_the_gradient_finite(tmp_path: Path) -> None:
    args = OGERConfig(
        **quiet_options(tmp_path, beta=0.1, max_completion_length=MAX_LENGTH, use_bias_correction_kl=True)
    )
    inputs, logps, old, entropy = micro_batch()
    with torch.no_grad():
        logps[1, 0] = -800.0  # exp(ref - logp) is infinite
        old[2, 3] = -900.0  # padding of the third row
    share = StepShare(accumulation=1, steps_per_generation=1, num_processes=1)
    loss = hybrid_loss(inputs, logps, old, entropy, args, share).loss
    assert math.isfinite(loss.item())
    assert torch.autograd.grad(loss, logps)[0].isfinite().all()
