"""The vLLM backend: with an engine that ends responses in another order, and (soak, where installed) the real one."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from types import ModuleType, SimpleNamespace

import pytest

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.transformers import encode_prompt
from oger.evaluation.backends.vllm import VllmGenerator
from oger.seeds import derived_seed
from tests.support.tiny import tiny_policy, tiny_tokenizer

SETTINGS = SamplingSettings(temperature=1.0, top_p=0.9, max_tokens=12, seed=3)
REQUESTS = [Request(f"p{index % 3}", index // 3, f"{index % 3}+1=?") for index in range(6)]


class ScriptedEngine:
    """The surface of `vllm.LLM` (0.32) that the backend uses; every step ends the two youngest requests."""

    def __init__(self, model: str) -> None:
        self.llm_engine = self
        self.model_config = SimpleNamespace(max_model_len=128)
        self.waiting: list[tuple[str, list[int], SimpleNamespace]] = []
        self.aborted: list[str] = []
        self.steps = 0

    def get_tokenizer(self):
        return tiny_tokenizer()

    def enqueue(self, prompts, options, use_tqdm: bool) -> list[str]:
        numbered = enumerate(zip(prompts, options, strict=True), start=40)
        self.waiting = [(str(number), prompt["prompt_token_ids"], option) for number, (prompt, option) in numbered]
        return [f"{number}-{hash(number) & 0xFFFF:x}" for number, _, _ in self.waiting]

    def step(self) -> list[SimpleNamespace]:
        self.steps += 1
        if self.steps % 2:  # a step that ends nothing: its responses go on
            return [SimpleNamespace(request_id=name, finished=False) for name, _, _ in self.waiting]
        ending, self.waiting = self.waiting[-2:], self.waiting[:-2]
        return [
            SimpleNamespace(
                request_id=name,
                finished=True,
                outputs=[SimpleNamespace(text=f"{ids} {option.seed}", token_ids=[5, 6, 1], finish_reason="stop")],
            )
            for name, ids, option in ending
        ]

    def abort_request(self, names: list[str]) -> None:
        self.aborted += names


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VLLM_LOGGING_STREAM", "VLLM_ENABLE_V1_MULTIPROCESSING"):
        monkeypatch.setenv(name, "a user's own")
    module = ModuleType("vllm")
    vars(module).update(LLM=ScriptedEngine, SamplingParams=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "vllm", module)


def test_each_response_goes_to_its_own_request_in_whatever_order_the_engine_ends_them(scripted: None) -> None:
    batches = list(VllmGenerator("m").generate(REQUESTS, SETTINGS))
    assert [[(r.problem, r.sample) for r in batch] for batch in batches] == [
        [("p1", 1), ("p2", 1)],
        [("p2", 0), ("p0", 1)],
        [("p0", 0), ("p1", 0)],
    ]
    for response in (response for batch in batches for response in batch):
        ids = encode_prompt(tiny_tokenizer(), f"{response.problem[1]}+1=?")
        seed = derived_seed(3, response.problem, response.sample)
        assert response == Generated(response.problem, response.sample, f"{ids} {seed}", 3, "stop")


def test_responses_come_while_others_are_under_way_and_leaving_early_ends_those(scripted: None) -> None:
    generator = VllmGenerator("m")
    stream = generator.generate(REQUESTS, SETTINGS)
    assert len(next(stream)) == 2
    assert generator._llm.steps == 2
    stream.close()
    assert generator._llm.aborted == ["40", "41", "42", "43"]


def test_a_prompt_that_fills_the_context_is_named_before_anything_is_asked(scripted: None) -> None:
    generator = VllmGenerator("m")
    refused_too_long_a_prompt(generator)
    assert not generator._llm.waiting


def test_logs_stay_out_of_the_table_and_the_engine_ends_with_us_unless_the_user_says_otherwise(
    scripted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_ENABLE_V1_MULTIPROCESSING")
    VllmGenerator("m")
    assert os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert os.environ["VLLM_LOGGING_STREAM"] == "a user's own"


def refused_too_long_a_prompt(generator: VllmGenerator) -> None:
    with pytest.raises(ValueError, match="problem long has 128 tokens; the model's context is 128"):
        next(generator.generate([*REQUESTS, Request("long", 0, "1" * 128)], SETTINGS))


@pytest.mark.soak
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_the_real_engine_repeats_its_draws_and_agrees_with_transformers(tmp_path) -> None:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from oger.evaluation.backends.transformers import TransformersGenerator

    config = tiny_policy().config.to_dict() | {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = Qwen2ForCausalLM(Qwen2Config(**config)).bfloat16()
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    generator = VllmGenerator(str(tmp_path))

    def drawn(source, settings: SamplingSettings) -> dict[tuple[str, int], Generated]:
        batches = source.generate(REQUESTS, settings)
        return {(response.problem, response.sample): response for batch in batches for response in batch}

    first = drawn(generator, SETTINGS)
    stream = generator.generate(REQUESTS, SamplingSettings(1.0, 0.9, 100, seed=3))
    next(stream)
    stream.close()
    assert drawn(generator, SETTINGS) == first
    assert len({response.text for response in first.values()}) > 3
    assert {response.finish_reason for response in first.values()} <= {"stop", "length"}

    greedy = SamplingSettings(0.0, 1.0, 8, seed=3)
    expected = drawn(TransformersGenerator(model.eval(), tiny_tokenizer(), batch_size=6), greedy)
    agreeing = sum(drawn(generator, greedy)[key] == response for key, response in expected.items())
    assert agreeing >= 4  # roundings of bfloat16 may part one problem's two samples

    refused_too_long_a_prompt(generator)
