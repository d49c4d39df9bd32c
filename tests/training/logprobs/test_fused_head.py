"""OGER's head in the place of TRL's: same values, every forward of a run on a CPU, and TRL's where it must stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPTJConfig,
    GPTJForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2ForCausalLM,
)
from trl.trainer import utils
from trl.trainer.utils import add_fused_lm_head

from oger.training.logprobs import fused_head
from oger.training.logprobs.fused_head import fused_head_for
from tests.support.tiny import tiny_policy
from tests.support.trainers import make_trainer

CPU = torch.device("cpu")
TEMPERATURE = 0.7
VOCABULARY = 1_000
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8,
}  # fmt: skip


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Tokens, and whether gradients are kept, of each call of `chunked_log_probs`, which runs for real."""
    seen: list[tuple[int, bool]] = []
    original = fused_head.chunked_log_probs

    def counted(hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append((len(hidden), torch.is_grad_enabled()))
        return original(hidden, *args, **kwargs)

    monkeypatch.setattr(fused_head, "chunked_log_probs", counted)
    return seen


def llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def cohere_like() -> Any:
    """Its logits are scaled."""
    config = LlamaConfig(**SIZES)
    config.logit_scale = 0.5
    return LlamaForCausalLM(config)


def gemma() -> Any:
    """Its logits are capped."""
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=0.5))


def gptj() -> Any:
    """Its head has a bias."""
    model = GPTJForCausalLM(GPTJConfig(vocab_size=VOCABULARY, n_embd=16, n_layer=1, n_head=2, rotary_dim=4))
    torch.nn.init.normal_(model.lm_head.bias)
    return model


def rows() -> tuple[Tensor, Tensor]:
    """Tokens (3, 20) and labels: prompts of different lengths and padding carry none."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(VOCABULARY, (3, 20), generator=generator)
    labels = ids.clone()
    labels[:, :7] = -100
    labels[0, 15:] = -100
    return ids, labels


def gradients(model: Any, found: Any) -> dict[str, Tensor]:
    weight = torch.linspace(-1, 1, found.log_probs.numel()).view_as(found.log_probs)
    model.zero_grad()
    ((weight * found.log_probs).sum() + 0.3 * (weight.flip(0) * found.entropy).sum()).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize(
    ("make", "dtype", "ours"),
    [
        (llama, torch.float32, True),
        (cohere_like, torch.float32, True),
        (llama, torch.float64, True),
        (llama, torch.bfloat16, False),
        (gemma, torch.float32, False),
        (gptj, torch.float32, False),
    ],
)
def test_forward_and_backward_are_those_of_trls_head(
    make: Any, dtype: torch.dtype, ours: bool, calls: list[tuple[int, bool]]
) -> None:
    ids, labels = rows()
    torch.manual_seed(0)
    model = make().to(dtype)
    add_fused_lm_head(model, temperature=TEMPERATURE, outputs=("log_probs", "entropy"))
    stock = model(input_ids=ids, labels=labels, fused_lm_head=True)
    assert not calls
    expected = gradients(model, stock)
    with fused_head_for(CPU):
        found = model(input_ids=ids, labels=labels, fused_lm_head=True)
    assert bool(calls) == ours
    tolerance = 1e-5 if dtype != torch.bfloat16 else 1e-2
    for one, other in ((found.log_probs, stock.log_probs), (found.entropy, stock.entropy)):
        torch.testing.assert_close(one, other, atol=tolerance, rtol=tolerance, check_dtype=False)
    got = gradients(model, found)  # outside: the backward pass may come later
    assert got.keys() == expected.keys()
    for name, gradient in got.items():
        assert expected[name].abs().max() > 1e-4, f"{name} decides nothing here"
        torch.testing.assert_close(gradient, expected[name], atol=tolerance, rtol=10 * tolerance, msg=name)


def test_only_tokens_with_a_label_are_projected(calls: list[tuple[int, bool]]) -> None:
    ids, labels = rows()
    model = llama()
    add_fused_lm_head(model)
    with fused_head_for(CPU):
        model(input_ids=ids, labels=labels, fused_lm_head=True)
    assert [tokens for tokens, _ in calls] == [int((labels[:, 1:] != -100).sum())]


def test_under_autocast_trls_head_stays(calls: list[tuple[int, bool]]) -> None:
    ids, labels = rows()
    model = llama()
    add_fused_lm_head(model)
    with fused_head_for(CPU), torch.autocast("cpu", torch.bfloat16):
        model(input_ids=ids, labels=labels, fused_lm_head=True)
    assert not calls


def test_rows_without_any_label_give_a_gradient_of_zero() -> None:
    ids, labels = rows()
    model = llama()
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    with fused_head_for(CPU):
        found = model(input_ids=ids, labels=torch.full_like(labels, -100), fused_lm_head=True)
    assert found.log_probs.shape == (3, 19)
    assert all(not gradient.any() for gradient in gradients(model, found).values())


def test_trls_head_comes_back_even_after_an_error() -> None:
    before = utils._ChunkedLogProbFunction, utils._use_triton
    ids, labels = rows()
    model = llama()
    add_fused_lm_head(model)
    with pytest.raises(IndexError, match="mask"), fused_head_for(CPU):
        model(input_ids=ids, labels=labels[:, :5], fused_lm_head=True)
    assert (utils._ChunkedLogProbFunction, utils._use_triton) == before


def test_a_gpu_keeps_trls_head() -> None:
    before = utils._ChunkedLogProbFunction, utils._use_triton
    with fused_head_for(torch.device("cuda")):
        assert (utils._ChunkedLogProbFunction, utils._use_triton) == before


def test_every_forward_of_a_run_goes_through_it(tmp_path: Path, calls: list[tuple[int, bool]]) -> None:
    options = {"max_steps": 1, "beta": 0.1, "num_iterations": 2, "imitation_weight": 0.5, "length_chunks": 2}
    tiny_policy().save_pretrained(tmp_path / "policy")  # a reference policy is loaded from where the policy was
    policy = Qwen2ForCausalLM.from_pretrained(tmp_path / "policy")
    trainer = make_trainer(tmp_path / "run", model=policy, **options)
    stock: list[None] = []
    original = utils._ChunkedLogProbFunction.apply
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils._ChunkedLogProbFunction, "apply", lambda *a: (stock.append(None), original(*a))[1])
        trainer.train()
    assert not stock
    micro_batches = 2
    assert [gradient for _, gradient in calls].count(True) == micro_batches * options["length_chunks"]
    # The policy's old log-probabilities and the reference's.
    assert [gradient for _, gradient in calls].count(False) == 2 * micro_batches * options["length_chunks"]


def test_a_run_in_one_forward_keeps_trls_head(tmp_path: Path, calls: list[tuple[int, bool]]) -> None:
    make_trainer(tmp_path, max_steps=1, length_chunks=1).train()
    assert not calls
