"""Seconds per rollout batch and per optimiser step, each with the arithmetic that gave it.

Decoding is bound by reading memory: every decoding step reads the weights once and the keys and values of every row.
Forwards and backwards are bound by multiplying, and they multiply padding too. Estimates, not measurements: put in what
your own machine reaches (--mfu, --tokens-per-s, --mean-tokens).
"""

from __future__ import annotations

from dataclasses import dataclass

from oger.planning.memory import kv_capacity
from oger.planning.setting import Setting

_LAUNCH_S_PER_LAYER = 1e-3
"""Time that transformers' generate spends per layer and decoding step outside the GPU's work."""


@dataclass(frozen=True)
class Stage:
    """One stage of an optimiser step."""

    name: str
    seconds: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Per optimiser step, over all GPUs, without padding."""

    generated: float
    teacher: float
    imitated: float
    trained: float
    padded: float
    """Positions of the forwards with gradient, prompts and padding included."""


def tokens_per_step(setting: Setting) -> Tokens:
    """What one optimiser step makes and learns from."""
    rows = setting.rows * setting.accumulation * setting.num_gpus
    groups = rows / setting.group
    generates = setting.engine != "none"
    teacher = groups * setting.teacher_rows * setting.teacher_tokens
    imitated = groups * setting.imitated * setting.teacher_tokens
    online = (rows - groups * setting.teacher_rows) * setting.mean_tokens if generates else 0.0
    return Tokens(
        generated=rows * setting.mean_tokens / setting.num_iterations if generates and not setting.replays else 0.0,
        teacher=teacher,
        imitated=imitated,
        trained=online + teacher + imitated,
        padded=setting.joined_rows * setting.accumulation * setting.num_gpus * _update_width(setting),
    )


def stages(setting: Setting) -> list[Stage]:
    """The stages of one optimiser step; what comes once per rollout batch is spread over the steps that it feeds."""
    found = []
    if setting.engine != "none" and not setting.replays:
        found.append(_spread("generation", *generation(setting), setting))
    if setting.engine != "none":
        found.append(_spread("reward", *_reward(setting), setting))
    if setting.extra_forwards:
        found.append(_spread("log-probabilities, entropies", *_forwards(setting), setting))
    return [*found, _update(setting)]


def generation(setting: Setting) -> tuple[float, str]:
    """Seconds that one rollout batch takes to be generated."""
    shape, device, assumed = setting.shape, setting.device, setting.assumptions
    rollouts = setting.rollout_rows * setting.num_gpus
    if assumed.tokens_per_s is not None:
        gpus = setting.server_gpus or setting.num_gpus
        total = rollouts * setting.mean_tokens
        seconds = total / (assumed.tokens_per_s * gpus)
        return seconds, f"{total:,.0f} tokens / ({assumed.tokens_per_s:g} per s x {gpus} GPUs)"
    engines = 1 if setting.engine == "server" else setting.num_gpus / setting.tensor_parallel
    rows = rollouts / engines
    parallel = setting.tensor_parallel if setting.engine != "transformers" else 1
    value_bytes = 2 if setting.engine != "transformers" else setting.weight_bytes
    slots = rows
    if setting.engine != "transformers":
        per_row = setting.prompt_tokens + setting.mean_tokens / 2
        slots = max(1.0, min(rows, kv_capacity(setting) / per_row))
    decode = max(setting.max_tokens, rows * setting.mean_tokens / slots)
    weights = decode * value_bytes * shape.num_parameters
    # A row that ends early stays in the batch of transformers until the longest one ends; vLLM lets it go.
    stays = setting.engine == "transformers" and not setting.lean
    length = setting.max_tokens if stays else setting.mean_tokens
    cache = rows * length * (setting.prompt_tokens + length / 2) * value_bytes * shape.kv_values_per_token
    reading = (weights + cache) / (parallel * device.bandwidth * assumed.bandwidth_share)
    multiplying = shape.forward_flops(rows * length, setting.prompt_tokens + length / 2) / (
        parallel * device.peak_flops * assumed.mfu
    )
    launching = decode * shape.layers * _LAUNCH_S_PER_LAYER if setting.engine == "transformers" else 0.0
    seconds = max(reading, multiplying) + launching
    what = (
        f"{decode:,.0f} decoding steps x {value_bytes * shape.num_parameters / 1e9:.1f} GB of weights + "
        f"{cache / 1e12:.1f} TB of keys and values, at {assumed.bandwidth_share:.0%} of "
        f"{parallel * device.bandwidth / 1e12:.2f} TB/s"
    )
    if multiplying > reading:
        what = f"{rows * length:,.0f} tokens x 2 FLOPs per weight at {assumed.mfu:.0%} of the peak"
    if launching:
        what += f" + {decode:,.0f} x {shape.layers} layers x {_LAUNCH_S_PER_LAYER * 1e3:g} ms"
    return seconds, what


def _reward(setting: Setting) -> tuple[float, str]:
    """Verdicts and vectors of a rollout batch; teachers' vectors are kept and not counted."""
    rows, assumed = setting.rollout_rows, setting.assumptions
    seconds = rows * assumed.verify_ms / 1e3 / assumed.verify_workers
    why = f"{rows:,} answers x {assumed.verify_ms:g} ms / {assumed.verify_workers} workers of the verifier"
    if setting.encoder_parameters:
        flops = 2.0 * setting.encoder_parameters * rows * setting.mean_tokens
        encoding, encoded = _at_mfu(
            flops,
            setting,
            f"2 x {setting.encoder_parameters / 1e6:,.0f} M of the encoder x {rows * setting.mean_tokens:,} tokens",
        )
        seconds, why = seconds + encoding, f"{why} + {encoded}"
    return seconds, why


def _forwards(setting: Setting) -> tuple[float, str]:
    """Without gradient, a whole rollout batch by length, as `oger.training.logprobs.forward` runs it."""
    rows = setting.rollout_rows
    parts = 1 if setting.length_chunks == 1 else setting.steps_per_generation * setting.length_chunks
    width = setting.mean_width(rows, parts)
    flops = setting.extra_forwards * setting.shape.forward_flops(rows * width, _context(setting, width))
    times = "" if setting.extra_forwards == 1 else f"{setting.extra_forwards} x "
    return _at_mfu(flops, setting, f"{times}forward of {rows:g} rows x {width:,.0f} tokens")


def _update(setting: Setting) -> Stage:
    rows, width = setting.joined_rows * setting.accumulation, _update_width(setting)
    flops = setting.shape.update_flops(
        rows * width, _context(setting, width), frozen=setting.lora, checkpointing=setting.checkpointing
    )
    recomputing = ", recomputation" if setting.checkpointing else ""
    what = f"forward, backward{recomputing} of {rows:g} rows x {width:,.0f} tokens"
    return Stage("update", *_at_mfu(flops, setting, what))


def _update_width(setting: Setting) -> float:
    return setting.mean_width(setting.joined_rows, setting.length_chunks)


def _context(setting: Setting, width: float) -> float:
    """Without flash attention the mask makes every token attend to the whole padded row."""
    return width / 2 if setting.flash else width


def _at_mfu(flops: float, setting: Setting, what: str) -> tuple[float, str]:
    device, mfu = setting.device, setting.assumptions.mfu
    amount = f"{flops / 1e15:,.1f} PFLOP" if flops >= 1e14 else f"{flops / 1e12:,.1f} TFLOP"
    why = f"{what} = {amount} per GPU at {mfu:.0%} of {device.peak_flops / 1e12:,.0f} TFLOP/s"
    return flops / (device.peak_flops * mfu), why


def _spread(name: str, seconds: float, why: str, setting: Setting) -> Stage:
    steps = setting.steps_per_batch
    if steps != 1:
        why = f"({why}) / {steps:g} steps that a rollout batch feeds"
    return Stage(name, seconds / steps, why)
