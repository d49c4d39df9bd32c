"""Finished rows leave the batch, and every response stays what stock generation would have made it."""

from __future__ import annotations

import functools
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from peft import LoraConfig, get_peft_model
from scipy.stats import chisquare
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from oger.training.rollouts.entropy import EntropyRecorder
from oger.training.rollouts.shrinking_generation import draw_as_stock, draw_by_cumulative, shrinking_generation
from tests.support.sharp import ENDS, PADDED, UNPADDED, batch_sizes, generate, sharp_policy


@pytest.mark.parametrize("prompts", [PADDED, UNPADDED], ids=["padded", "unpadded"])
@pytest.mark.parametrize(
    "options",
    [{}, {"min_new_tokens": 5, "no_repeat_ngram_size": 2}, {"suppress_tokens": [9, 10], "prefill_chunk_size": 3}],
    ids=["plain", "processors", "prefill in chunks"],
)
def test_greedy_tokens_equal_stock_generation(prompts: list[str], options: dict[str, Any]) -> None:
    policy = sharp_policy()
    stock = generate(policy, prompts, do_sample=False, **options)
    with shrinking_generation(policy):
        sizes, own = batch_sizes(policy, prompts=prompts, do_sample=False, **options)
    assert torch.equal(own, stock)
    assert sizes[-1] < len(prompts), "rows must leave"


@pytest.mark.parametrize("prompts", [PADDED, UNPADDED], ids=["padded", "unpadded"])
@pytest.mark.parametrize(
    "options",
    [{}, {"temperature": 0.7, "top_p": 0.9}, {"temperature": 1.5, "top_k": 8}, {"min_p": 0.1, "typical_p": 0.9}],
    ids=lambda options: ",".join(options),
)
def test_with_stocks_random_numbers_the_sampled_tokens_equal_stock_generation(
    prompts: list[str], options: dict[str, Any]
) -> None:
    policy = sharp_policy()
    stock = generate(policy, prompts, **options)
    with shrinking_generation(policy, stock_draws=True):
        sizes, own = batch_sizes(policy, prompts=prompts, **options)
    assert torch.equal(own, stock)
    assert len(set(sizes)) > 3, "rows must leave"


def test_sliding_windows_and_adapters_give_the_tokens_of_stock_generation() -> None:
    torch.manual_seed(0)
    sliding: Any = MistralForCausalLM(
        MistralConfig(
            vocab_size=32, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, sliding_window=8, initializer_range=0.3,
        )
    ).double()  # fmt: skip
    lora = LoraConfig(r=4, init_lora_weights=False, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    for policy in (sliding, get_peft_model(sharp_policy(), lora).eval()):
        base = policy.get_base_model() if policy is not sliding else policy
        stock = generate(policy)
        sizes: list[int] = []
        base.register_forward_pre_hook(
            lambda module, args, kwargs, sizes=sizes: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
        )
        with shrinking_generation(policy, stock_draws=True):
            assert torch.equal(generate(policy), stock)
        assert len(set(sizes)) > 3, "rows must leave"


def test_the_batch_holds_few_finished_rows_and_each_prompt_once_in_the_prefill() -> None:
    policy = sharp_policy()
    with shrinking_generation(policy):
        sizes, ids = batch_sizes(policy)
    width = ids.shape[1] - len(sizes)
    end_NT = torch.isin(ids[:, width:], torch.tensor(ENDS)).int()
    unfinished_T = len(PADDED) - end_NT.cumsum(1).clamp(max=1).sum(dim=0)
    assert sizes[0] == len(set(PADDED))
    for size, unfinished in zip(sizes[1:], unfinished_T.tolist(), strict=False):
        assert unfinished <= size < unfinished / (1 - 1 / 8) + 1e-9 or size == unfinished


def test_responses_follow_the_policys_distribution() -> None:
    """Every response of up to three tokens, counted in 6,000 samples of two prompts that end at different steps."""
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=5, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.5, tie_word_embeddings=False,
    )  # fmt: skip
    policy: Any = Qwen2ForCausalLM(config)
    prompts, num_each, end, longest = [[2, 3], [4, 2]], 3000, 1, 3
    input_ids = torch.tensor(prompts).repeat_interleave(num_each, dim=0)
    options = GenerationConfig(
        max_new_tokens=longest, do_sample=True, top_k=0, pad_token_id=0, eos_token_id=end, disable_compile=True,
        suppress_tokens=[0],
    )  # fmt: skip
    torch.manual_seed(2)
    with shrinking_generation(policy):
        ids = policy.generate(
            input_ids=input_ids, attention_mask=torch.ones_like(input_ids), generation_config=options
        )[:, 2:]
    symbols = [token for token in range(1, config.vocab_size) if token != end]
    responses = [
        (*start, last)
        for length in range(longest)
        for start in itertools.product(symbols, repeat=length)
        for last in ([end, *symbols] if length == longest - 1 else [end])
    ]
    for index, prompt in enumerate(prompts):
        drawn = [tuple(row) for row in ids[index * num_each : (index + 1) * num_each].tolist()]
        counts = [drawn.count(response + (0,) * (longest - len(response))) for response in responses]
        expected = [num_each * _probability(policy, prompt, response) for response in responses]
        assert sum(counts) == num_each
        common = [place for place, value in enumerate(expected) if value >= 5]
        rest = [num_each - sum(values[place] for place in common) for values in (counts, expected)]
        tested = [
            [values[place] for place in common] + [left] for values, left in zip((counts, expected), rest, strict=True)
        ]
        assert len(common) > 10
        assert chisquare(*tested).pvalue > 0.001


def _probability(policy: Any, prompt: list[int], response: tuple[int, ...]) -> float:
    ids = torch.tensor([prompt + list(response)])
    with torch.no_grad():
        logits = policy(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    logits[:, 0] = -torch.inf
    return float(logits.softmax(dim=-1).gather(1, torch.tensor(response)[:, None]).prod())


def test_a_draw_of_the_rows_that_are_left_is_that_of_the_whole_batch() -> None:
    probs_NV = torch.randn(64, 50).softmax(dim=-1)
    rows = torch.tensor([3, 60, 4, 17])
    torch.manual_seed(0)
    whole_N = torch.multinomial(probs_NV, 1).squeeze(1)
    torch.manual_seed(0)
    assert torch.equal(draw_as_stock(probs_NV[rows], rows, 64), whole_N[rows])


def test_a_draw_never_gives_a_token_of_probability_0(monkeypatch: pytest.MonkeyPatch) -> None:
    probs_RV = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0]]).repeat(2, 1)
    for uniform, expected in ((0.0, 1), (1 - 2**-53, 3), (0.5, 3)):
        monkeypatch.setattr(torch, "rand", functools.partial(_constant, uniform))
        assert draw_by_cumulative(probs_RV, torch.arange(2), 2).tolist() == [expected, expected]


def _constant(value: float, *size: int, **options: Any) -> torch.Tensor:
    return torch.full(size, value, **options)


class _RaisesTheFirst(LogitsProcessor):
    """Reads a row by its place in the batch."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        scores[0] += torch.arange(scores.shape[1])
        return scores


class _Raises(LogitsProcessor):
    row_by_row = True

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return scores + input_ids[:, :1]


@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.3},
        {"cache_implementation": "static"},
        {"use_cache": False},
        {"num_beams": 2},
        {"eos_token_id": None},
        {"processors": [_RaisesTheFirst()]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_keeps_more_than_the_loop_knows_of_a_row_runs_the_loop_of_transformers(options: dict[str, Any]) -> None:
    policy = sharp_policy()
    policy.generation_config.eos_token_id = None
    sizes, stock = batch_sizes(policy, **options)
    with shrinking_generation(policy):
        own_sizes, own = batch_sizes(policy, **options)
    assert torch.equal(own, stock)
    assert own_sizes == sizes


def test_a_processor_that_works_row_by_row_lets_rows_leave() -> None:
    policy = sharp_policy()
    stock = generate(policy, processors=[_Raises()])
    with shrinking_generation(policy, stock_draws=True):
        sizes, own = batch_sizes(policy, processors=[_Raises()])
    assert torch.equal(own, stock)
    assert sizes[-1] < len(PADDED)


def test_logits_that_are_not_numbers_end_the_generation() -> None:
    policy = sharp_policy()
    with torch.no_grad():
        policy.lm_head.weight[3] = torch.nan
    with shrinking_generation(policy), pytest.raises(RuntimeError, match="infinite or not numbers in 24 rollouts"):
        generate(policy)


def test_the_model_has_its_own_generate_back_afterwards() -> None:
    policy = sharp_policy()
    with pytest.raises(KeyError), shrinking_generation(policy):
        raise KeyError
    assert "generate" not in vars(policy)
    policy.generate = replaced = policy.generate
    with shrinking_generation(policy, EntropyRecorder()):
        assert policy.generate is not replaced
    assert policy.generate is replaced


def _rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    policy = sharp_policy()
    policy._is_fsdp_managed_module = True  # what makes transformers keep ranks in step
    length = (6, 20)[rank]
    with shrinking_generation(policy):
        sizes, ids = batch_sizes(policy, max_new_tokens=length, min_new_tokens=length)
    Path(folder, f"rank{rank}.json").write_text(json.dumps([len(sizes), ids.shape[1]]))
    dist.destroy_process_group()


def test_a_rank_whose_rows_are_finished_keeps_step_with_the_others(tmp_path: Path) -> None:
    torch.multiprocessing.start_processes(_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    (forwards, columns), (other_forwards, other_columns) = (
        json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)
    )
    assert forwards == other_forwards
    assert other_columns - columns == 14
