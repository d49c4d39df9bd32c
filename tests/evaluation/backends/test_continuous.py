"""Continuous batching in this process: the greedy responses of plain batches, and draws that follow the seed."""

from __future__ import annotations

import pytest
import torch

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.continuous import ContinuousGenerator
from oger.evaluation.backends.transformers import TransformersGenerator
from tests.support.tiny import tiny_policy, tiny_tokenizer

REQUESTS = [Request(f"p{n}", sample, f"{'1+' * (n % 4)}{n}=?") for n in range(6) for sample in range(2)]


def drawn(generator, settings: SamplingSettings, requests=REQUESTS) -> dict[tuple[str, int], Generated]:
    return {(r.problem, r.sample): r for batch in generator.generate(requests, settings) for r in batch}


def test_greedy_responses_are_those_of_plain_batches_when_fewer_fit_than_are_asked() -> None:
    policy, settings = tiny_policy(), SamplingSettings(0.0, 1.0, 30, seed=0)
    plain = drawn(TransformersGenerator(policy, tiny_tokenizer(), batch_size=12), settings)
    continuous = drawn(ContinuousGenerator(policy, tiny_tokenizer(), most_at_once=3), settings)
    assert continuous == plain


def test_draws_follow_the_seed_and_leave_no_trace() -> None:
    policy = tiny_policy()
    policy.train()
    generator = ContinuousGenerator(policy, tiny_tokenizer(), most_at_once=4)
    attention, state = policy.config._attn_implementation, torch.get_rng_state()
    first = drawn(generator, SamplingSettings(1.0, 0.95, 40, seed=3))
    assert torch.equal(torch.get_rng_state(), state)
    assert policy.training
    assert policy.config._attn_implementation == attention
    assert drawn(generator, SamplingSettings(1.0, 0.95, 40, seed=3)) == first
    assert drawn(generator, SamplingSettings(1.0, 0.95, 40, seed=4)) != first
    assert {response.finish_reason for response in first.values()} == {"stop", "length"}


def test_a_response_ends_where_the_context_does() -> None:
    generator = ContinuousGenerator(tiny_policy(), tiny_tokenizer(), most_at_once=4)
    settings = SamplingSettings(0.0, 1.0, 500, seed=0)
    [response] = drawn(generator, settings, [Request("p", 0, "1" * 120)]).values()
    assert response.num_tokens is not None
    assert response.num_tokens <= 8
    with pytest.raises(ValueError, match="problem p has 130 tokens; the model's context is 128"):
        drawn(generator, settings, [Request("p", 0, "1" * 130)])


def test_leaving_early_stops_the_generation() -> None:
    policy = tiny_policy()
    stream = ContinuousGenerator(policy, tiny_tokenizer(), most_at_once=2).generate(
        REQUESTS, SamplingSettings(1.0, 1.0, 100, seed=0)
    )
    next(stream)
    stream.close()
    again = drawn(TransformersGenerator(policy, tiny_tokenizer(), batch_size=12), SamplingSettings(0.0, 1.0, 5, seed=0))
    assert len(again) == len(REQUESTS)
