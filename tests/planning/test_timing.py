"""FLOPs are torch's count; times follow from them and from stated assumptions."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from oger.planning.setting import Assumptions
from oger.planning.shape import shape_of_config
from oger.planning.timing import generation, stages, tokens_per_step
from tests.support.settings import setting_of


@pytest.mark.parametrize("checkpointing", [False, True])
def test_flops_of_a_forward_and_of_an_update_are_those_that_torch_counts(checkpointing: bool) -> None:
    config = Qwen2Config(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation="eager",
    )
    model, shape, tokens = Qwen2ForCausalLM(config).train(), shape_of_config(config), 2 * 96
    if checkpointing:
        model.gradient_checkpointing_enable()
    ids = torch.randint(0, 512, (2, 96))
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model(ids, use_cache=False)
    assert forward.get_total_flops() == pytest.approx(shape.forward_flops(tokens, 96), rel=0.01)
    with FlopCounterMode(display=False) as update:
        model(ids, use_cache=False).logits.sum().backward()
    planned = shape.update_flops(tokens, 96, frozen=False, checkpointing=checkpointing)
    logits_again = 2 * tokens * shape.head_parameters  # TRL's head, not this one
    assert update.get_total_flops() + logits_again == pytest.approx(planned, rel=0.02)


def test_tokens_of_the_papers_step() -> None:
    assumptions = Assumptions(mean_tokens=3000, teacher_tokens=4000)
    tokens = tokens_per_step(setting_of("paper_7b", "length_chunks=1", gpus="8x80", assumptions=assumptions))
    assert tokens.generated == 512 * 3000
    assert tokens.teacher == 64 * 4000, "one teacher row in each of 64 groups"
    assert tokens.trained == (512 - 64) * 3000 + 64 * 4000
    assert tokens.padded == 512 * (1024 + 8192)


def test_rows_by_length_are_padded_to_the_longest_of_their_part() -> None:
    setting = setting_of("paper_7b", gpus="8x80", assumptions=Assumptions(mean_tokens=4096))
    whole = setting.prompt_tokens + 8192
    assert setting.mean_width(4, 1) == whole
    assert setting.mean_width(4, 2) == whole - 8192 / 4, "evenly spread: halves end at 1/2 and at the whole"
    assert setting.mean_width(4, 1000) == setting.mean_width(4, 4), "no more parts than rows"


def test_the_batch_of_many_nodes_is_that_of_one() -> None:
    assert tokens_per_step(setting_of("multi_node", gpus="32x80")) == tokens_per_step(
        setting_of("paper_7b", gpus="8x80")
    )


def test_supervised_training_generates_nothing() -> None:
    setting = setting_of("paper_7b", "method=sft", gpus="8x80")
    tokens = tokens_per_step(setting)
    assert tokens.generated == tokens.teacher == 0
    assert tokens.imitated == tokens.trained == 64 * 2 * 4096
    assert [stage.name for stage in stages(setting)] == ["update"]


def test_twice_the_peak_halves_the_update() -> None:
    setting = setting_of("single_80gb")
    faster = dataclasses.replace(setting, assumptions=Assumptions(mfu=0.7))
    assert stages(setting)[-1].seconds == pytest.approx(2 * stages(faster)[-1].seconds)


def test_a_measured_rate_of_generation_takes_the_place_of_the_estimate() -> None:
    setting = setting_of("paper_7b", gpus="8x80", assumptions=Assumptions(tokens_per_s=2000, mean_tokens=4000))
    assert generation(setting)[0] == pytest.approx(1024 * 4000 / (2000 * 8))


def test_generation_cannot_be_shorter_than_its_longest_row() -> None:
    setting = setting_of("single_80gb", assumptions=Assumptions(mean_tokens=1))
    longest = 3072 * 2 * setting.shape.num_parameters / (0.5 * setting.device.bandwidth)
    assert generation(setting)[0] >= longest


def test_no_forward_for_entropies_where_nothing_asks_for_one() -> None:
    assert setting_of("quickstart", "lean_generation=false").extra_forwards == 1
    assert setting_of("quickstart", "method=dr_grpo").extra_forwards == 0
    assert setting_of("quickstart", "method=dr_grpo", "beta=0.1").extra_forwards == 1
    assert setting_of("quickstart").extra_forwards == 0


def test_weights_of_correct_rollouts_ask_for_entropies_as_the_exploration_reward_does() -> None:
    srft = "method=dr_grpo", "positive_row_weight=exp_entropy"
    assert setting_of("quickstart", *srft, "lean_generation=false").extra_forwards == 1
    assert setting_of("quickstart", *srft).extra_forwards == 0, "recorded while tokens are drawn"


def test_replayed_rollouts_take_no_time_to_generate_and_leave_no_entropies() -> None:
    setting = setting_of("quickstart", "rollouts=replay:runs/other")
    assert [stage.name for stage in stages(setting)] == ["reward", "log-probabilities, entropies", "update"]
    assert tokens_per_step(setting).generated == 0
    assert tokens_per_step(setting).trained == tokens_per_step(setting_of("quickstart")).trained


def test_generation_under_trls_own_objective_is_trls_own() -> None:
    stock = "method=dr_grpo", "clip=0.2", "entropy_coef=0", "importance_sampling_level=sequence"
    assert setting_of("quickstart", "method=dr_grpo").lean
    assert not setting_of("quickstart", *stock).lean


def test_rows_that_leave_the_batch_are_not_computed_to_its_end() -> None:
    usual, lean = (setting_of("single_80gb", "use_vllm=false", f"lean_generation={word}") for word in ("false", "true"))
    assert generation(lean)[0] < generation(usual)[0]
