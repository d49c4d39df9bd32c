"""Sampling with a tiny random policy."""

from dataclasses import replace

import pytest
import torch
from transformers import Qwen2ForCausalLM

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.transformers import TransformersGenerator, end_token_ids, sample_responses
from tests.support.tiny import tiny_policy, tiny_tokenizer

PROMPTS = ["1+2=?", "10+20+30=?", "3=?", "77+8=?"]
SETTINGS = SamplingSettings(temperature=1.0, top_p=1.0, max_tokens=12, seed=5)


@pytest.fixture(scope="module")
def model() -> Qwen2ForCausalLM:
    return tiny_policy()


@pytest.fixture
def tokenizer():
    return tiny_tokenizer()


def test_the_shape_is_prompts_by_samples(model, tokenizer) -> None:
    responses = sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    assert [len(row) for row in responses] == [3] * len(PROMPTS)
    assert all(isinstance(response, Generated) for row in responses for response in row)


def test_the_same_seed_gives_the_same_responses_and_another_seed_others(model, tokenizer) -> None:
    first = sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    torch.rand(7)
    assert sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS) == first
    assert sample_responses(model, tokenizer, PROMPTS, 3, replace(SETTINGS, seed=6)) != first


def test_the_global_random_state_and_the_training_modes_are_left_as_found(model, tokenizer) -> None:
    model.train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == modes
    model.eval()


def test_greedy_responses_do_not_depend_on_padding_or_order(model, tokenizer) -> None:
    greedy = replace(SETTINGS, temperature=0.0)
    together = [responses[0].text for responses in sample_responses(model, tokenizer, PROMPTS, 1, greedy)]
    alone = [sample_responses(model, tokenizer, [prompt], 1, greedy)[0][0].text for prompt in PROMPTS]
    assert together == alone
    generator = TransformersGenerator(model, tokenizer, batch_size=3, one_stream=True)
    requests = [Request(prompt, 0, prompt) for prompt in PROMPTS]
    in_batches = {
        response.problem: response.text for batch in generator.generate(requests, greedy) for response in batch
    }
    assert [in_batches[prompt] for prompt in PROMPTS] == alone


def test_a_response_without_an_end_is_truncated_and_fills_the_length(model, tokenizer) -> None:
    responses = [r for row in sample_responses(model, tokenizer, PROMPTS * 8, 3, SETTINGS) for r in row]
    assert {response.truncated for response in responses} == {True, False}
    for response in responses:
        assert response.num_tokens == 12 if response.truncated else response.num_tokens <= 12
        assert "<eos>" not in response.text
        assert "<pad>" not in response.text


def test_every_end_token_of_the_generation_config_ends_a_response(model, tokenizer) -> None:
    plus, digit = tokenizer.convert_tokens_to_ids(["+", "1"])
    model.generation_config.eos_token_id = [plus, digit]
    try:
        assert end_token_ids(model, tokenizer) == sorted([plus, digit, tokenizer.eos_token_id])
        responses = [r for row in sample_responses(model, tokenizer, PROMPTS * 4, 3, SETTINGS) for r in row]
        assert not any("+" in response.text or "1" in response.text for response in responses)
        assert any(not response.truncated for response in responses)
    finally:
        model.generation_config.eos_token_id = tokenizer.eos_token_id


def test_the_models_own_sampling_habits_are_not_applied(model, tokenizer) -> None:
    plain = sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    model.generation_config.update(top_k=1, repetition_penalty=5.0, temperature=0.01, do_sample=True)
    try:
        assert sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS) == plain
    finally:
        model.generation_config.update(top_k=50, repetition_penalty=1.0, temperature=1.0, do_sample=False)


def test_a_chat_is_rendered_with_its_template_and_the_generation_prompt(model, tokenizer) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}{{ '\n' }}{% endif %}"
    )
    chats = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    as_text = sample_responses(model, tokenizer, [prompt + "\n" for prompt in PROMPTS], 3, SETTINGS)
    assert sample_responses(model, tokenizer, chats, 3, SETTINGS) == as_text


def test_a_tokenizer_without_padding_pads_with_the_end_token(model, tokenizer) -> None:
    expected = sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    tokenizer.pad_token = None
    assert sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS) == expected
    assert tokenizer.pad_token is None


@pytest.mark.parametrize("wrong", [{"max_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.5}], ids=str)
def test_an_option_out_of_range_is_refused_by_name(model, tokenizer, wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sample_responses(model, tokenizer, PROMPTS, 3, replace(SETTINGS, **wrong))


def test_a_batch_of_no_rows_is_refused(model, tokenizer) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        TransformersGenerator(model, tokenizer, batch_size=0)


def test_an_empty_prompt_and_a_missing_end_token_are_refused(model, tokenizer) -> None:
    with pytest.raises(ValueError, match="prompt 1 has no tokens"):
        sample_responses(model, tokenizer, ["1+1=?", ""], 3, SETTINGS)
    tokenizer.eos_token = None
    own = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = None
    try:
        with pytest.raises(ValueError, match="eos_token"):
            sample_responses(model, tokenizer, PROMPTS, 3, SETTINGS)
    finally:
        model.generation_config.eos_token_id = own
