"""A setting from a resolved recipe, on some GPUs, under stated assumptions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from oger.planning.devices import Device
from oger.planning.setting import SHARDINGS, Assumptions, Setting
from oger.planning.shape import ModelShape, find_shape
from oger.words import choose

if TYPE_CHECKING:
    from oger.recipes import Recipe
    from oger.training.config import OGERConfig

_OPTIMISERS: Mapping[str, float] = {
    "adamw_torch": 8, "adamw_torch_fused": 8, "adamw_bnb_8bit": 2, "adamw_8bit": 2, "paged_adamw_8bit": 2, "sgd": 0,
    "paged_adamw_32bit": 8, "adafactor": 0.02,
}  # fmt: skip
"""Bytes of state per trained float32 parameter."""

_ENCODERS: Mapping[str, int] = {
    "all-minilm-l6-v2": 22_713_216,
    "all-mpnet-base-v2": 109_486_464,
}
"""Parameters of sentence encoders, by the name that their ids end with."""


def make_setting(
    recipe: Recipe,
    num_gpus: int,
    device: Device,
    *,
    sharding: str | None = None,
    server_gpus: int = 0,
    num_parameters: int | None = None,
    assumptions: Assumptions,
) -> Setting:
    """The setting of a recipe on `num_gpus` GPUs for training, `server_gpus` more for a vLLM server.

    Args:
        recipe: as loaded; nothing that it names is read but the model's config.json.
        num_gpus: one process each.
        device: of them all.
        sharding: a name of `SHARDINGS`; None = fsdp2 on several GPUs.
        server_gpus: needed where vllm_mode is server.
        num_parameters: of a model about which nothing is known.
        assumptions: what no recipe says.

    Raises:
        ValueError: the recipe cannot run so, or something in it is not counted; says what to do.
    """
    from oger.training.loop.data import check_whole_groups
    from oger.training.run.build import run_options
    from oger.training.run.options import check_training

    # Options are resolved as in a run, except that no GPU has to be here.
    recipe = check_training(recipe)
    args = run_options(dataclasses.replace(recipe, training={**recipe.training, "use_cpu": True, "report_to": "none"}))
    check_whole_groups(args)
    sharding = sharding or ("fsdp2" if num_gpus > 1 else "none")
    how = choose(SHARDINGS, sharding, "sharding")
    shape = find_shape(recipe.model, num_parameters)
    lora = recipe.peft is not None
    engine = _engine(args)
    if (engine == "server") != (server_gpus > 0):
        raise ValueError(
            "vllm_mode=server needs --server-gpus N, the GPUs that generate; no other recipe has a use for it"
        )
    if server_gpus and shape.heads % server_gpus:
        raise ValueError(
            f"--server-gpus {server_gpus}: vLLM splits the {shape.heads} heads of the model evenly over the GPUs of a "
            "server, give a number that divides them"
        )
    init = args.model_init_kwargs if isinstance(args.model_init_kwargs, dict) else {}
    dtype = str(init.get("dtype", "float32")).rpartition(".")[2]  # TRL loads float32 unless one is named
    half = dtype in ("bfloat16", "float16") or (how.bf16_weights and args.bf16)
    optimiser = str(getattr(args.optim, "value", args.optim))
    if optimiser not in _OPTIMISERS:
        raise ValueError(f"optim={optimiser!r}: oger plan knows the memory of {', '.join(_OPTIMISERS)}")
    room = (args.vllm_max_model_length or 0) - args.max_completion_length
    encoder_bytes = _encoder_bytes(args, shape)
    mean = min(assumptions.mean_tokens or args.max_completion_length // 2, args.max_completion_length)
    return Setting(
        name=recipe.name,
        shape=shape,
        device=device,
        num_gpus=num_gpus,
        processes=recipe.processes,
        server_gpus=server_gpus,
        sharding=sharding,
        trained=shape.lora_parameters(recipe.peft) if recipe.peft is not None else shape.num_parameters,
        lora=lora,
        weight_bytes=2 if half else 4,
        bf16=bool(args.bf16 or args.fp16),
        checkpointing=bool(args.gradient_checkpointing),
        flash="flash" in str(init.get("attn_implementation", "")),
        optimiser=optimiser,
        state_bytes=_OPTIMISERS[optimiser],
        rows=args.per_device_train_batch_size,
        accumulation=args.gradient_accumulation_steps,
        steps_per_generation=args.steps_per_generation,
        num_iterations=args.num_iterations,
        group=args.num_generations,
        teacher_rows=args.teacher_rows,
        imitated=_imitated(args, assumptions),
        length_chunks=args.length_chunks,
        extra_forwards=int(args.needs_forward) + int(args.beta != 0.0),
        engine=engine,
        replays=args.replayed is not None,
        lean=args.generates_lean,
        vllm_share=args.vllm_gpu_memory_utilization,
        vllm_sleeps=args.vllm_enable_sleep_mode,
        tensor_parallel=args.vllm_tensor_parallel_size if engine == "colocate" else max(server_gpus, 1),
        reference=args.beta != 0.0 and not lora,
        encoder=args.encoder,
        encoder_bytes=encoder_bytes,
        encoder_parameters=None if encoder_bytes is None else encoder_bytes // _encoder_size(args),
        max_tokens=args.max_completion_length,
        prompt_tokens=assumptions.prompt_tokens or (room if room > 0 else 256),
        mean_tokens=mean,
        teacher_tokens=min(assumptions.teacher_tokens or mean, args.max_completion_length),
        max_steps=args.max_steps,
        epochs=args.num_train_epochs,
        validation_rows=_validation_rows(recipe, args),
        assumptions=assumptions,
    )


def _engine(args: OGERConfig) -> str:
    if not args.generates:
        return "none"
    return args.vllm_mode if args.use_vllm else "transformers"


def _imitated(args: OGERConfig, assumptions: Assumptions) -> float:
    if not args.imitates:
        return 0.0
    return args.imitation_rows or min(assumptions.trajectories, args.num_generations)


def _encoder_size(args: OGERConfig) -> int:
    """Bytes of one of the encoder's weights."""
    return 4 if args.encoder_options.get("dtype", "float32") == "float32" else 2


def _encoder_bytes(args: OGERConfig, shape: ModelShape) -> int | None:
    """Of the encoder's weights on the policy's GPU."""
    options = args.encoder_options
    name, _, model = args.encoder.partition(":")
    compares = args.shapes or args.teacher_rows > 0  # a teacher takes the place of the row least unlike it
    if not compares or name == "ngram" or str(options.get("device", "cuda")) == "cpu":
        return 0
    size = _encoder_size(args)
    if name == "policy-init":
        return size * shape.num_parameters
    if Path(model).is_dir():
        return sum(file.stat().st_size for file in Path(model).rglob("*.safetensors"))
    found = [count for ending, count in _ENCODERS.items() if model.lower().endswith(ending)]
    return size * found[0] if found else None


def _validation_rows(recipe: Recipe, args: OGERConfig) -> int | None:
    if not recipe.validation or args.max_steps <= 0:
        return 0
    if recipe.validation_limit is None:
        return None
    times = int(args.max_steps // max(args.eval_steps or 1, 1))
    return times * recipe.validation_limit * (args.num_generations_eval or args.num_generations)
