"""The bytes that the plan counts are those that torch holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import Qwen2Config, Qwen2ForCausalLM

from oger.io.rows import load_rows
from oger.planning.memory import GIB, activation_bytes_per_token, kv_capacity, memory_parts, peak_bytes
from oger.planning.setting import Setting
from oger.planning.shape import shape_of_config
from oger.recipes import load_recipe
from oger.training.run.build import build_trainer
from tests.support.settings import setting_of

ROWS, TOKENS = 4, 64


class SavedBytes(saved_tensors_hooks):
    """Counts the storages that autograd keeps for the backward, parameters left out."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._kept: dict[int, torch.Tensor] = {}  # the tensors stay alive, so that no address is used twice
        super().__init__(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in self._weights:
            self._kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    @property
    def total(self) -> int:
        return sum(tensor.untyped_storage().nbytes() for tensor in self._kept.values())


def config(layers: int, sizes: tuple[int, int, int, int]) -> Qwen2Config:
    hidden, intermediate, heads, kv_heads = sizes
    return Qwen2Config(
        vocab_size=64,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        tie_word_embeddings=True,
    )


def saved_per_token(layers: int, sizes: tuple[int, int, int, int], precision: str, *, checkpointing: bool) -> float:
    model = Qwen2ForCausalLM(config(layers, sizes)).to(torch.bfloat16 if precision == "bf16" else torch.float32).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    ids = torch.randint(0, 64, (ROWS, TOKENS))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0  # padding, as every batch of rollouts has it
    saved = SavedBytes(model)
    with saved, torch.autocast("cpu", torch.bfloat16, enabled=precision == "autocast"):
        model.model(input_ids=ids, attention_mask=mask, use_cache=False)
    return saved.total / (ROWS * TOKENS)


def layer_setting(sizes: tuple[int, int, int, int], precision: str) -> Setting:
    return dataclasses.replace(
        setting_of("single_80gb"),
        shape=shape_of_config(config(2, sizes)),
        bf16=precision != "fp32",
        weight_bytes=2 if precision == "bf16" else 4,
        prompt_tokens=0,
        max_tokens=TOKENS,
    )


@pytest.mark.parametrize("sizes", [(64, 128, 4, 4), (128, 512, 8, 2)])
@pytest.mark.parametrize("precision", ["fp32", "autocast", "bf16"])
def test_what_a_layer_saves_is_what_autograd_saves(precision: str, sizes: tuple[int, int, int, int]) -> None:
    setting = layer_setting(sizes, precision)
    predicted, entering = activation_bytes_per_token(setting)
    whole = [saved_per_token(layers, sizes, precision, checkpointing=False) for layers in (2, 3)]
    measured = whole[1] - whole[0]
    if precision == "autocast":  # its copies of the weights, a part of their own
        matrices = sum(rows * columns for rows, columns in setting.shape.linear_maps.values())
        measured -= 2 * matrices / (ROWS * TOKENS)
    assert measured == pytest.approx(predicted, rel=0.02)
    recomputed = [saved_per_token(layers, sizes, precision, checkpointing=True) for layers in (2, 3)]
    assert recomputed[1] - recomputed[0] == entering


def test_the_trainer_of_the_embedded_policy_holds_what_the_plan_says(tmp_path: Path) -> None:
    """Weights, gradients and optimiser within 1 %, activations within 10 %."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in load_rows("world:arithmetic/validation", 16)))
    own = (f"train={rows}", f"output_dir={tmp_path / 'run'}")
    overrides = ("max_steps=1", "validation=null", "test={}", "length_chunks=1", *own)
    trainer = build_trainer(load_recipe("smoke", overrides))
    seen: dict[str, Any] = {}
    compute_loss = trainer._compute_loss

    def measured(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        seen["widths"] = inputs["prompt_ids"].size(1), inputs["completion_ids"].size(1)
        saved = SavedBytes(trainer.model)
        with saved:
            loss = compute_loss(model, inputs)
        seen["activations"] = saved.total
        return loss

    clip = trainer.accelerator.clip_grad_norm_

    def clipped(parameters: Any, *more: Any) -> Any:
        seen["gradients"] = sum(p.grad.nbytes for p in trainer.model.parameters() if p.grad is not None)
        return clip(parameters, *more)

    trainer._compute_loss = measured
    trainer.accelerator.clip_grad_norm_ = clipped
    trainer.train()

    prompt, completion = seen["widths"]
    setting = dataclasses.replace(setting_of("smoke", *overrides), prompt_tokens=prompt, max_tokens=completion)
    parts = {part.name.split(" ")[0].rstrip(","): part.bytes for part in memory_parts(setting)}
    states = [value for state in trainer.optimizer.state.values() for value in state.values()]
    assert parts["weights"] == sum(parameter.nbytes for parameter in trainer.model.parameters())
    assert parts["gradients"] == seen["gradients"]
    assert parts["optimiser"] == pytest.approx(sum(value.nbytes for value in states), rel=0.01)
    saved, _ = activation_bytes_per_token(setting)
    planned = setting.rows * setting.width * setting.shape.layers * saved
    assert seen["activations"] == pytest.approx(planned, rel=0.1)


def test_sharding_divides_what_it_shards() -> None:
    whole = {part.name: part.bytes for part in memory_parts(setting_of("paper_7b", gpus="8x80", sharding="none"))}
    split = {part.name: part.bytes for part in memory_parts(setting_of("paper_7b", gpus="8x80", sharding="fsdp2"))}
    for name in ("weights", "gradients", "optimiser (adamw_torch)"):
        assert split[name] == pytest.approx(whole[name] / 8)


def test_deepspeed_keeps_16_bytes_per_parameter_too() -> None:
    setting = setting_of("paper_7b", gpus="8x80", sharding="zero3")
    held = sum(
        part.bytes for part in memory_parts(setting) if part.name.split()[0] in ("weights", "gradients", "optimiser")
    )
    assert held == pytest.approx(16 * setting.shape.num_parameters / 8)
    stage_2 = {part.name: part.bytes for part in memory_parts(setting_of("paper_7b", gpus="8x80", sharding="zero2"))}
    assert stage_2["weights"] == 2 * setting.shape.num_parameters


def test_an_adapter_has_gradients_and_states_of_its_own_parameters_only() -> None:
    setting = setting_of("lora_24gb", gpus="1x24")
    parts = {part.name.split()[0]: part.bytes for part in memory_parts(setting)}
    assert parts["gradients"] == 4 * setting.trained < 0.1 * parts["weights"]
    assert parts["weights"] == 2 * setting.shape.num_parameters + 4 * setting.trained


def test_a_sleeping_engine_leaves_its_memory_to_training() -> None:
    awake, asleep = (
        peak_bytes(memory_parts(setting_of("single_80gb", f"vllm_enable_sleep_mode={word}")))
        for word in ("false", "true")
    )
    assert awake["train"] - asleep["train"] == pytest.approx(0.3 * 80 * GIB)
    assert awake["generate"] == asleep["generate"]


def test_the_cache_of_vllm_is_what_its_share_leaves_beside_the_weights() -> None:
    setting = setting_of("paper_7b", gpus="8x80")
    room = 0.35 * 80 * GIB - 2 * 7_615_616_512 - 1.5 * GIB
    assert kv_capacity(setting) == pytest.approx(room / (2 * 2 * 28 * 4 * 128))
    assert kv_capacity(dataclasses.replace(setting, vllm_share=0.1)) == 0


def test_an_encoder_is_counted_wherever_rollouts_are_compared_with_teachers() -> None:
    encoder = "encoder=sentence-transformers:sentence-transformers/all-MiniLM-L6-v2"
    luffy = setting_of("single_80gb", "method=luffy", encoder)
    assert luffy.encoder_bytes == 2 * 22_713_216, "no exploration reward, but its teacher row is compared; bfloat16"
    assert setting_of("single_80gb", "method=dr_grpo", encoder).encoder_bytes == 0
