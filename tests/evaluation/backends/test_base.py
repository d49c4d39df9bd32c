"""Backends: the same prompts as in training, reproducible batches, an endpoint over a real connection."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from oger.endpoint.client import Endpoint, EndpointOptions
from oger.evaluation.backends.base import Generated, PromptForm, Request, SamplingSettings
from oger.evaluation.backends.endpoint import EndpointGenerator
from oger.evaluation.backends.transformers import TransformersGenerator, encode_prompt
from oger.evaluation.problems import Problem
from oger.seeds import derived_seed
from tests.support.endpoint_server import EndpointServer
from tests.support.tiny import tiny_policy, tiny_tokenizer

SETTINGS = SamplingSettings(temperature=1.0, top_p=1.0, max_tokens=12, seed=3)
REQUESTS = [Request(f"p{index % 3}", index // 3, f"{index % 3}+1=?") for index in range(6)]


def drawn(generator, requests=REQUESTS, settings=SETTINGS) -> list[Generated]:
    return [response for batch in generator.generate(requests, settings) for response in batch]


def transformers_generator(**options) -> TransformersGenerator:
    return TransformersGenerator(tiny_policy(), tiny_tokenizer(), batch_size=6, **options)


def test_a_batch_is_drawn_again_exactly_and_another_seed_draws_another() -> None:
    generator = transformers_generator()
    first = drawn(generator)
    assert [(response.problem, response.sample) for response in first] == [(r.problem, r.sample) for r in REQUESTS]
    assert drawn(generator) == first
    assert drawn(generator, settings=SamplingSettings(1.0, 1.0, 12, seed=4)) != first
    assert len({response.text for response in first}) > 2


def test_later_samples_of_a_problem_do_not_repeat_the_earlier_ones() -> None:
    generator = transformers_generator()
    batches = [[Request("p", sample, "1+1=?") for sample in samples] for samples in (range(6), range(6, 12))]
    first, second = ([response.text for response in drawn(generator, batch)] for batch in batches)
    assert first != second


def test_a_response_is_cut_by_the_limit_or_ends_by_itself() -> None:
    responses = drawn(transformers_generator(), settings=SamplingSettings(1.0, 1.0, 60, seed=0))
    assert {response.finish_reason for response in responses} == {"stop", "length"}
    for response in responses:
        assert (response.num_tokens == 60) == (response.finish_reason == "length")


def test_a_response_ends_where_the_context_does() -> None:
    [response] = drawn(transformers_generator(), [Request("p", 0, "1" * 120)], SamplingSettings(0.0, 1.0, 500, seed=0))
    assert response.num_tokens <= 8
    with pytest.raises(ValueError, match="problem p has 130 tokens; the model's context is 128"):
        drawn(transformers_generator(), [Request("p", 0, "1" * 130)])


def test_prompts_are_encoded_as_trl_does(tmp_path) -> None:
    from trl import GRPOConfig, GRPOTrainer

    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m['role'][0] }}>{{ m['content'] }}{% endfor %}"
        "{% if think %}hm{% endif %}{% if add_generation_prompt %}a{% endif %}"
    )
    args = GRPOConfig(
        output_dir=str(tmp_path), chat_template_kwargs={"think": True}, report_to=[], bf16=False, use_cpu=True
    )
    from datasets import Dataset

    trainer = GRPOTrainer(
        tiny_policy(), lambda completions, **_: [0.0] * len(completions), args,
        Dataset.from_list([{"prompt": "1"}]), processing_class=tokenizer,
    )  # fmt: skip
    chat = [{"role": "system", "content": "be"}, {"role": "user", "content": "1+1=?"}]
    for prompt in (chat, "1+1=?\n"):
        [ids] = trainer._tokenize_prompts([prompt])[0]
        assert encode_prompt(tokenizer, prompt, {"think": True}) == ids
    assert encode_prompt(tokenizer, chat) != encode_prompt(tokenizer, chat, {"think": True})


def test_a_chat_without_a_chat_template_is_refused() -> None:
    with pytest.raises(ValueError, match="no chat template"):
        drawn(transformers_generator(), [Request("p", 0, [{"role": "user", "content": "1"}])])


def test_the_form_of_a_prompt_leaves_whole_prompts_alone() -> None:
    asked = Problem("p", "1+1=?", False, "2", "math")
    whole = Problem("p", "1+1=?", True, "2", "math")
    assert PromptForm(False).prompt(asked) == "1+1=?"
    assert PromptForm(True, "Be brief.").prompt(asked) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1=?"},
    ]
    assert PromptForm(True, "Be brief.").prompt(whole) == "1+1=?"


def endpoint_generator(server: EndpointServer, **options) -> EndpointGenerator:
    options = {"retry_wait_s": 0.01, "retries": 1, **options}
    return EndpointGenerator(Endpoint(EndpointOptions(server.url, "m", **options)), concurrency=4)


REMOTE = [Request(f"p{index}", sample, f"What is #{index}?") for index in range(8) for sample in range(2)]


def test_an_endpoint_is_asked_every_sample_once_with_a_seed_of_its_own() -> None:
    with EndpointServer(lambda call: "delay:0.01") as server:
        responses = drawn(endpoint_generator(server), REMOTE)
        asked = server.asked()
        assert 1 < server.most_at_once <= 4
    assert sorted((r.problem, r.sample) for r in responses) == sorted((r.problem, r.sample) for r in REMOTE)
    assert set(asked.values()) == {1}
    assert len({seed for _, seed in asked}) == 16
    by_key = {(r.problem, r.sample): r for r in responses}
    assert f"seed {derived_seed(3, 'p5', 1)} " in by_key["p5", 1].text
    assert (by_key["p5", 1].num_tokens, by_key["p5", 1].finish_reason) == (23, "stop")
    body = server.calls[0].body
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (1.0, 1.0, 12)


def test_a_cut_response_of_an_endpoint_says_so() -> None:
    with EndpointServer(lambda call: "length no-usage") as server:
        [response] = drawn(endpoint_generator(server), REMOTE[:1])
    assert (response.finish_reason, response.num_tokens) == ("length", None)


def test_responses_that_came_are_yielded_before_the_failures_are_raised() -> None:
    with EndpointServer(lambda call: "400" if call.key[0] == "#3" else "") as server:
        generator = endpoint_generator(server)
        stream = generator.generate(REMOTE, SETTINGS)
        came = []

        def store_all() -> None:
            for batch in stream:
                came.extend(batch)

        with pytest.raises(ValueError, match=r"2 requests failed.*run the same command again"):
            store_all()
    assert len(came) == 14


def test_a_server_that_is_gone_is_not_asked_to_the_end() -> None:
    with EndpointServer(lambda call: "400") as server:
        with pytest.raises(ValueError, match="requests failed"):
            drawn(endpoint_generator(server), [Request(f"p{i}", 0, f"#{i}") for i in range(200)])
        assert len(server.calls) < 60
    with EndpointServer(lambda call: "401") as server, pytest.raises(ValueError, match="check the key"):
        drawn(endpoint_generator(server), REMOTE)


def test_leaving_the_responses_early_closes_the_connections() -> None:
    with EndpointServer(lambda call: "delay:0.05") as server:
        stream = endpoint_generator(server).generate(REMOTE, SETTINGS)
        next(stream)
        stream.close()
        assert len(server.calls) < 16


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed")
def test_vllm_that_is_not_installed_is_one_clear_line() -> None:
    from oger.evaluation.backends.vllm import VllmGenerator

    with pytest.raises(ValueError, match=r"pip install 'trl\[vllm\]'"):
        VllmGenerator("some/model")
