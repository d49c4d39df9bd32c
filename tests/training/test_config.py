"""Options: presets fill what is left open, explicit values win, contradictions and unknown words are named."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments
from transformers.utils import is_torch_bf16_gpu_available
from trl import GRPOConfig

from oger import OGERConfig
from oger.training.presets import PRESETS, REFUSED_WITH_TEACHER_ROWS


def config(tmp_path: Path, **options: Any) -> OGERConfig:
    return OGERConfig(output_dir=str(tmp_path), bf16=False, report_to=[], **options)


@pytest.mark.skipif(is_torch_bf16_gpu_available(), reason="has a GPU with bfloat16")
def test_a_machine_without_bfloat16_trains_in_single_precision(tmp_path: Path) -> None:
    options = {"output_dir": str(tmp_path), "report_to": []}
    assert OGERConfig(**options).bf16 is False
    assert OGERConfig(**options, use_cpu=True).bf16 is GRPOConfig(**options, use_cpu=True).bf16
    with pytest.raises(
        ValueError, match="bf16=true needs a GPU with bfloat16, and none is here: set bf16=false or leave"
    ):
        OGERConfig(**options, bf16=True)


@pytest.mark.parametrize(
    ("preset", "scale_rewards", "clip", "loss_type", "entropy_coef"),
    [
        ("luffy_code", "none", "none", "dr_grpo", 0.001 * 2 / 64),
        ("paper_text", "group", 0.2, "dapo", 0.0),
        ("none", "group", 0.2, "dapo", 0.0),
    ],
)
def test_preset_sets_the_four_parts(
    tmp_path: Path, preset: str, scale_rewards: str, clip: Any, loss_type: str, entropy_coef: float
) -> None:
    made = config(tmp_path, preset=preset)
    assert (made.scale_rewards, made.clip, made.loss_type, made.entropy_coef) == (
        scale_rewards,
        clip,
        loss_type,
        entropy_coef,
    )
    assert made.beta == 0.0


@pytest.mark.parametrize(
    "sampling",
    [
        {"top_p": 0.9},
        {"top_k": 20},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"generation_kwargs": {"top_k": 20}},
        {"generation_kwargs": {"typical_p": 0.9}},
        {"generation_kwargs": {"no_repeat_ngram_size": 3}},
    ],
    ids=str,
)
def test_entropies_that_are_paid_for_are_those_of_the_distribution_that_was_drawn_from(
    tmp_path: Path, sampling: dict[str, Any]
) -> None:
    name = next(iter(sampling.get("generation_kwargs", sampling)))
    with pytest.raises(ValueError, match=rf"{name}=.* cannot be combined with .* entropies"):
        config(tmp_path, **sampling)
    config(tmp_path, entropy_reduction="none", **sampling)
    config(tmp_path, exploration_weight=0, **sampling)
    config(tmp_path, top_p=1.0, top_k=0)


def test_default_preset_is_luffy_code(tmp_path: Path) -> None:
    assert config(tmp_path).preset == "luffy_code"


def test_preset_none_keeps_every_default_of_trl(tmp_path: Path) -> None:
    made = config(tmp_path, preset="none")
    for field in dataclasses.fields(GRPOConfig):
        if field.name in PRESETS["none"] or field.name in ("epsilon", "epsilon_high"):
            stock = GRPOConfig(output_dir=str(tmp_path), bf16=False, report_to=[])
            expected = getattr(stock, field.name)
            assert getattr(made, field.name) == (expected if expected is not None else made.epsilon), field.name


def test_explicit_value_wins_over_the_preset(tmp_path: Path) -> None:
    made = config(tmp_path, preset="luffy_code", scale_rewards="group", loss_type="grpo", entropy_coef=0.0, clip=0.3)
    assert (made.scale_rewards, made.loss_type, made.entropy_coef, made.clip_range) == (
        "group",
        "grpo",
        0.0,
        (0.3, 0.3),
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"clip": "none"}, None),
        ({"clip": False, "preset": "paper_text"}, None),
        ({"clip": "0.2"}, (0.2, 0.2)),
        ({"clip": [0.2, 0.28]}, (0.2, 0.28)),
        ({"clip": "0.2,0.28"}, (0.2, 0.28)),
        ({"epsilon": 0.1}, (0.1, 0.1)),
        ({"epsilon": 0.1, "epsilon_high": 0.3}, (0.1, 0.3)),
        ({"epsilon_high": 0.3}, (0.2, 0.3)),
        ({"epsilon": 0.2, "clip": 0.2}, (0.2, 0.2)),
    ],
)
def test_clip_is_read_in_every_spelling(tmp_path: Path, options: dict[str, Any], expected: Any) -> None:
    made = config(tmp_path, **options)
    assert made.clip_range == expected
    if expected is not None:
        assert (made.epsilon, made.epsilon_high) == expected


@pytest.mark.parametrize("clip", [float("nan"), [0.2, float("nan")], 0, [-0.1, 0.2], [0.1, 0.2, 0.3], "wide"])
def test_what_is_no_clip_is_refused(tmp_path: Path, clip: Any) -> None:
    with pytest.raises(ValueError, match="is not a clip: use none"):
        config(tmp_path, clip=clip)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "lufy_code"}, ["lufy_code", "luffy_code"]),
        ({"replacement": "argmin"}, ["argmin", "argmin_divergence"]),
        ({"divergence_aggregation": "maen"}, ["maen", "'mean'"]),
        ({"divergence_scale": "whitned"}, ["whitned", "'whitened'"]),
        ({"entropy_reduction": "answer_spn"}, ["answer_spn", "'answer_span'"]),
        ({"teacher_choice": "round_robbin"}, ["round_robbin", "'round_robin'"]),
        ({"undecided": "dorp"}, ["dorp", "'drop'"]),
        ({"exploration_schedule": "linaer"}, ["linaer", "'linear'"]),
        ({"exploration_schedule_end": 0.5}, ["exploration_schedule_end", "exploration_schedule=linear"]),
        ({"exploration_schedule": "cosine", "exploration_schedule_end": -1}, ["exploration_schedule_end"]),
        ({"exploration_schedule": "cosine", "exploration_weight": 0}, ["exploration_schedule", "exploration_weight"]),
        ({"teacher_rows": 0, "teacher_choice": "shortest"}, ["teacher_choice", "teacher_rows=0"]),
        ({"teacher_rows": 0, "teacher_advantage_min": 0.0}, ["teacher_advantage_min", "teacher_rows=0"]),
        ({"shaping_rewards": {"oger": 1.0}}, ["exploration_weight"]),
        ({"shaping_rewards": {"elliptical_novelty": "much"}}, ["shaping_rewards", "names to weights"]),
        ({"shaping_rewards": ["elliptical_novelty"]}, ["shaping_rewards", "names to weights"]),
        ({"shaping_rewards": '{"elliptical_novelty": NaN}'}, ["shaping_rewards", "names to weights"]),
        ({"positive_weight": -1.0}, ["positive_weight", "at least 0"]),
        ({"positive_row_weight": "exp_entrop"}, ["exp_entrop", "'exp_entropy'"]),
        ({"shaping": "p_over_p"}, ["p_over_p", "p_over_p_plus_gamma"]),
        ({"encoder": "ngrams"}, ["ngrams", "'ngram'"]),
        ({"scale_rewards": "grup"}, ["grup", "'group'"]),
        ({"clip": "yes"}, ["clip", "'yes'"]),
        ({"clip": 0.2, "epsilon": 0.3}, ["clip", "epsilon"]),
        ({"clip": "none", "epsilon_high": 0.3}, ["clip", "epsilon_high"]),
        ({"delta": 2.0}, ["delta", "clip"]),
        ({"teacher_rows": 8}, ["teacher_rows", "7"]),
        ({"teacher_rows": -1}, ["teacher_rows"]),
        ({"exploration_weight": -0.5}, ["exploration_weight"]),
        ({"shaping_gamma": 0.0}, ["shaping_gamma"]),
        ({"entropy_last_k": 0}, ["entropy_last_k"]),
        ({"teacher_rows": 0, "loss_type": "bnpo"}, ["loss_type", "exploration_weight=0"]),
        (
            {
                "teacher_rows": 0,
                "loss_type": "bnpo",
                "exploration_weight": 0,
                "clip": 0.2,
                "shaping_rewards": {"elliptical_novelty": 1},
            },
            ["loss_type", "shaping_rewards"],
        ),
    ],
)
def test_bad_option_is_named(tmp_path: Path, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the words are checked below
        config(tmp_path, **options)
    for word in words:
        assert word in str(raised.value)


def test_shaping_rewards_come_as_a_mapping_or_from_a_command_line_as_json(tmp_path: Path) -> None:
    assert config(tmp_path).shaping_rewards == {}
    for given in ({"elliptical_novelty": 1, "distinct_quality": 0}, '{"elliptical_novelty": 1}'):
        assert config(tmp_path, shaping_rewards=given).shaping_rewards == {"elliptical_novelty": 1.0}


_VALUE_THAT_IS_REFUSED = {
    "loss_type": "bnpo",
    "importance_sampling_level": "sequence",
    "multi_objective_aggregation": "normalize_then_sum",
    "use_adaptive_entropy": True,
}

# Fields of GRPOConfig that act on loading, generation, the engine or logging: before or after the hybrid group.
# Options of GRPOConfig that the hybrid group and the mixed objective implement themselves. Everything that is neither
# here nor refused acts before or after them (generation, optimiser, logging) and is inherited untouched.
_HONOURED = {
    "beta", "use_bias_correction_kl", "epsilon", "epsilon_high", "delta", "entropy_coef", "top_entropy_quantile",
    "off_policy_mask_threshold", "scale_rewards", "reward_weights", "mask_truncated_completions", "num_iterations",
    "steps_per_generation", "generation_batch_size", "num_generations", "num_generations_eval",
    "max_completion_length", "pad_to_multiple_of", "temperature", "router_aux_loss_coef", "sync_ref_model",
    "ref_model_mixup_alpha", "ref_model_sync_steps", "use_vllm", "vllm_importance_sampling_correction",
    "vllm_importance_sampling_mode", "vllm_importance_sampling_clip_max", "vllm_importance_sampling_clip_min",
    "vllm_importance_sampling_cap", "log_completions", "num_completions_to_print", "log_unique_prompts",
    "shuffle_dataset",
}  # fmt: skip

_UNTOUCHED = {
    "model_init_kwargs", "trust_remote_code", "disable_dropout", "cast_lm_head_to_fp32", "ds3_gather_for_generation",
    "top_p", "top_k", "min_p", "generation_kwargs", "chat_template_kwargs", "repetition_penalty",
    "cache_implementation", "vllm_mode", "vllm_model_impl", "vllm_enable_sleep_mode", "vllm_structured_outputs_regex",
    "vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_group_port",
    "vllm_gpu_memory_utilization", "vllm_max_model_length", "vllm_tensor_parallel_size", "log_multimodal",
    "log_completions_hub_repo", "use_transformers_continuous_batching", "transformers_continuous_batching_config",
    "use_transformers_paged",
    "max_tool_calling_iterations",  # tools themselves are refused by the trainer
    "sapo_temperature_neg", "sapo_temperature_pos", "vespo_k_pos", "vespo_lambda_pos", "vespo_k_neg",
    "vespo_lambda_neg",  # belong to loss types that are refused
    "entropy_coef_min", "entropy_coef_max", "entropy_coef_delta", "entropy_target",  # belong to use_adaptive_entropy
}  # fmt: skip


def test_every_field_of_grpo_config_is_honoured_refused_or_untouched() -> None:
    inherited_by_all = {field.name for field in dataclasses.fields(TrainingArguments)}
    own = {field.name for field in dataclasses.fields(GRPOConfig)} - inherited_by_all
    refused = set(REFUSED_WITH_TEACHER_ROWS)
    assert not refused & _HONOURED
    unplaced = own - refused - _HONOURED - _UNTOUCHED
    assert not unplaced, (
        f"TRL has options of which nobody has decided how they go with teacher rows: {sorted(unplaced)}"
    )
    gone = (refused | _HONOURED | _UNTOUCHED) - own
    assert not gone, f"TRL no longer has: {sorted(gone)}"
    assert set(_VALUE_THAT_IS_REFUSED) == refused


@pytest.mark.parametrize("name", sorted(_VALUE_THAT_IS_REFUSED))
def test_refused_option_is_named_with_teacher_rows_and_allowed_without(tmp_path: Path, name: str) -> None:
    option = {name: _VALUE_THAT_IS_REFUSED[name]}
    with pytest.raises(ValueError, match=name):
        config(tmp_path, preset="none", **option)
    plain = config(tmp_path, preset="none", teacher_rows=0, exploration_weight=0.0, **option)
    assert not plain.needs_own_objective


def test_resolved_options_make_the_same_configuration_again(tmp_path: Path) -> None:
    made = config(tmp_path, preset="paper_text", clip=[0.2, 0.3], exploration_weight=0.5)
    again = config(tmp_path, **made.resolved_options())
    assert again.resolved_options() == made.resolved_options()
    assert made.resolved_options()["scale_rewards"] == "group"


@pytest.mark.parametrize(
    ("options", "forward", "lean"),
    [
        ({}, False, True),  # entropies are left by generation, old log-probabilities are those of the update
        ({"lean_generation": False}, True, False),
        ({"lean_generation": False, "entropy_reduction": "none"}, False, False),
        ({"lean_generation": False, "exploration_weight": 0}, False, False),
        ({"lean_generation": False, "exploration_weight": 0, "positive_row_weight": "exp_entropy"}, True, False),
        ({"shaping_rewards": {"within_group_diversity": 1.0}}, True, True),
        ({"num_iterations": 2}, True, True),
        ({"use_transformers_continuous_batching": True}, True, False),
        ({"rollouts": "replay:runs/other"}, True, False),
        ({"rollouts": "record"}, False, True),
        ({"use_vllm": True}, True, False),
        (
            {"use_vllm": True, "vllm_importance_sampling_correction": False, "entropy_reduction": "none"},
            False,
            False,
        ),
        (
            {"preset": "none", "exploration_weight": 0, "teacher_rows": 0, "loss_type": "luspo"},
            False,
            False,
        ),  # TRL's own objective and generation
        (
            {
                "policy_weight": 0, "imitation_weight": 1, "exploration_weight": 0, "teacher_rows": 0,
                "entropy_coef": 0,
            },
            False,
            False,
        ),  # nothing is generated
    ],
)  # fmt: skip
def test_config_knows_whether_a_rollout_batch_needs_a_forward_and_whether_generation_is_lean(
    tmp_path: Path, options: dict[str, Any], forward: bool, lean: bool
) -> None:
    made = config(tmp_path, **options)
    assert (made.needs_forward, made.generates_lean) == (forward, lean)


def test_memory_is_pinned_only_where_there_is_a_device_to_copy_to(tmp_path: Path) -> None:
    assert config(tmp_path).dataloader_pin_memory == torch.cuda.is_available()
    assert not config(tmp_path, dataloader_pin_memory=False).dataloader_pin_memory
