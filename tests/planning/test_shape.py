"""Parameters counted from a configuration equal those of the model that transformers builds of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config
from transformers.models.gpt2 import GPT2Config

from oger.planning.shape import KNOWN, ModelShape, find_shape, shape_of_config
from tests.support.tiny import tiny_policy

SIZES = {
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "vocab_size": 70,
}


def on_meta(config) -> torch.nn.Module:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def counted(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", [Qwen2Config, Qwen3Config, LlamaConfig, MistralConfig])
def test_the_count_is_exact_for_every_family(kind, tied: bool) -> None:
    config = kind(**SIZES, tie_word_embeddings=tied)
    assert shape_of_config(config).num_parameters == counted(on_meta(config))


def config_of(shape: ModelShape):
    kind = Qwen2Config if shape.qkv_bias else LlamaConfig
    return kind(
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        vocab_size=shape.vocab,
        tie_word_embeddings=shape.tied,
    )


@pytest.mark.parametrize("name", KNOWN)
def test_the_count_of_a_known_model_is_that_of_transformers(name: str) -> None:
    assert KNOWN[name].num_parameters == counted(on_meta(config_of(KNOWN[name])))


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("Qwen2.5-0.5B", 494_032_768),
        ("Qwen2.5-Math-1.5B", 1_543_714_304),
        ("Qwen2.5-Math-7B", 7_615_616_512),
        ("SmolLM2-135M", 134_515_008),
        ("Llama-3.1-8B", 8_030_261_248),
    ],
)
def test_known_models_have_the_published_number_of_parameters(name: str, published: int) -> None:
    assert KNOWN[name].num_parameters == published


@pytest.mark.parametrize(
    "arguments", [{}, {"r": 4, "target_modules": "all-linear"}, {"target_modules": ["k_proj", "down_proj"]}]
)
def test_an_adapter_is_counted_as_peft_makes_it(arguments: dict) -> None:
    model = tiny_policy()
    shape = shape_of_config(model.config)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **arguments))
    trained = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert shape.lora_parameters(arguments) == trained


def test_a_module_that_is_not_counted_is_refused() -> None:
    with pytest.raises(ValueError, match="'embed_tokens'"):
        KNOWN["Qwen2.5-0.5B"].lora_parameters({"target_modules": ["embed_tokens"]})


def test_a_local_folder_gives_its_own_shape(tmp_path: Path) -> None:
    model = tiny_policy()
    model.config.save_pretrained(tmp_path)  # the weights are not there, and not needed
    assert find_shape(str(tmp_path)).num_parameters == counted(model)


def test_the_embedded_policy_is_counted() -> None:
    from oger.worlds import load_world

    folder = load_world("arithmetic").base_policy()
    assert find_shape("world:arithmetic").num_parameters == counted(on_meta(AutoConfig.from_pretrained(folder)))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B"),
        ("Elliott/Qwen2.5-Math-7B-16k-think", "Qwen2.5-Math-7B"),
        ("someone/qwen2.5-math-1.5b-tuned", "Qwen2.5-Math-1.5B"),
        ("world:word_problems", "SmolLM2-135M"),
    ],
)
def test_a_copy_of_a_known_model_is_known_by_its_name(model: str, name: str) -> None:
    assert find_shape(model).num_parameters == KNOWN[name].num_parameters


@pytest.mark.parametrize("model", ["someone/qwen2.5-70b", "someone/else"])
def test_an_unknown_model_says_what_to_do(model: str) -> None:
    with pytest.raises(ValueError, match=r"--params 1\.5B"):
        find_shape(model)


def test_a_number_of_parameters_stands_for_an_unknown_model() -> None:
    shape = find_shape("someone/else", 4_000_000_000)
    assert shape.num_parameters == pytest.approx(4e9, rel=0.03)
    assert "--params" in shape.source


def test_another_architecture_is_refused_by_name(tmp_path: Path) -> None:
    GPT2Config().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'gpt2'"):
        find_shape(str(tmp_path))


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no readable config.json"):
        find_shape(str(tmp_path))
