"""Whether a recipe fits, how long it takes, and which single change would make it fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from oger.planning.memory import GIB, Part, kv_capacity, memory_parts, peak_bytes
from oger.planning.setting import Setting
from oger.planning.timing import Stage, Tokens, generation, stages, tokens_per_step


@dataclass(frozen=True)
class Advice:
    """One change and the peak that it leads to, GiB per GPU."""

    change: str
    peak_gib: float
    fits: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a setting needs."""

    setting: Setting
    parts: list[Part]
    peaks: dict[str, float]
    """Bytes per GPU, of training and of generation."""
    tokens: Tokens
    stages: list[Stage]
    validation_seconds: float | None
    """Of all validations of the run; None = unknown."""
    warnings: list[str]
    advice: list[Advice]

    @property
    def fits(self) -> bool:
        """Whether every GPU has room."""
        return _fits(self.setting)

    @property
    def seconds_per_step(self) -> float:
        """Of an optimiser step."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def hours(self) -> float | None:
        """Of the whole run, validation included where it is known; None without max_steps."""
        if self.setting.max_steps <= 0:
            return None
        return (self.seconds_per_step * self.setting.max_steps + (self.validation_seconds or 0.0)) / 3600


def make_plan(setting: Setting) -> Plan:
    """The plan of a setting; see `Plan`."""
    parts = memory_parts(setting)
    return Plan(
        setting=setting,
        parts=parts,
        peaks=peak_bytes(parts),
        tokens=tokens_per_step(setting),
        stages=stages(setting),
        validation_seconds=_validation_seconds(setting),
        warnings=list(_warnings(setting)),
        advice=[] if _fits(setting) else _advice(setting),
    )


def _peak(setting: Setting) -> float:
    return max(peak_bytes(memory_parts(setting)).values())


def _holds_a_row(setting: Setting) -> bool:
    """Whether the engine's cache has room for one row of full length."""
    return setting.engine not in ("colocate", "server") or kv_capacity(setting) >= setting.width


def _fits(setting: Setting) -> bool:
    return _peak(setting) <= setting.device.memory_gib * GIB and _holds_a_row(setting)


def _validation_seconds(setting: Setting) -> float | None:
    """At the rate of training; one forward more or less of each row is not counted."""
    if setting.validation_rows is None:
        return None
    if setting.engine == "none" or not setting.validation_rows:
        return 0.0
    rows = setting.rollout_rows * setting.num_gpus
    return generation(setting)[0] * setting.validation_rows / rows


def _warnings(setting: Setting) -> Iterator[str]:
    if not _holds_a_row(setting):
        yield (
            f"vLLM has room for {kv_capacity(setting):,.0f} tokens, less than one row of {setting.width:,}: raise "
            "vllm_gpu_memory_utilization or vllm_tensor_parallel_size"
        )
    elif setting.engine in ("colocate", "server"):
        engines = 1 if setting.engine == "server" else setting.num_gpus / setting.tensor_parallel
        rows = setting.rollout_rows * setting.num_gpus / engines
        at_once = kv_capacity(setting) / (setting.prompt_tokens + setting.mean_tokens / 2)
        if at_once < rows / 2:
            yield f"vLLM decodes about {at_once:,.0f} of an engine's {rows:,.0f} rows at once: the others wait"
    if setting.encoder_bytes is None:
        yield f"memory and time of the encoder {setting.encoder} are not known and not counted"
    if setting.validation_rows is None:
        yield "the time of validation is not counted: validation_limit does not say how many problems there are"
    if setting.processes not in (None, setting.num_gpus):
        yield (
            f"the recipe is made for processes={setting.processes} and will not start on {setting.num_gpus} GPUs: give "
            f"--gpus {setting.processes}x..., or another batch and processes={setting.num_gpus}"
        )
    if setting.sharding != "none" and setting.num_gpus == 1:
        yield f"one GPU has nothing to share: --sharding {setting.sharding} only costs copies"


def _advice(setting: Setting) -> list[Advice]:
    """Single changes, those that fit first, the ones that give up least at their head."""
    tried = [Advice(change, _peak(changed) / GIB, _fits(changed)) for change, changed in _changes(setting)]
    now = _peak(setting) / GIB
    return sorted((one for one in tried if one.fits or one.peak_gib < now), key=lambda advice: not advice.fits)


def _changes(setting: Setting) -> Iterator[tuple[str, Setting]]:
    """(what to write, the setting after it), the mildest first."""
    replace = dataclasses.replace
    if setting.num_gpus > 1 and setting.sharding in ("none", "zero2"):
        yield "--sharding fsdp2 (launch with an FSDP2 configuration)", replace(setting, sharding="fsdp2")
    if not setting.checkpointing:
        yield "gradient_checkpointing=true", replace(setting, checkpointing=True)
    if setting.engine == "colocate" and not setting.vllm_sleeps:
        yield "vllm_enable_sleep_mode=true", replace(setting, vllm_sleeps=True)
    factor = 2
    while setting.rows % factor == 0:
        rows, steps = setting.rows // factor, setting.accumulation * factor
        per_batch = setting.steps_per_generation * factor
        yield (
            f"per_device_train_batch_size={rows} gradient_accumulation_steps={steps} "
            f"steps_per_generation={per_batch} (the same step in smaller pieces)",
            replace(setting, rows=rows, accumulation=steps, steps_per_generation=per_batch),
        )
        factor *= 2
    if setting.engine == "colocate":
        for share in (0.4, 0.3, 0.2):
            if share < setting.vllm_share:
                yield f"vllm_gpu_memory_utilization={share}", replace(setting, vllm_share=share)
    if setting.state_bytes == 8 and not setting.lora and setting.sharding == "none":
        yield "optim=adamw_8bit (pip install bitsandbytes)", replace(setting, optimiser="adamw_8bit", state_bytes=2)
    if not setting.lora:
        trained = setting.shape.lora_parameters({"r": 64, "target_modules": "all-linear"})
        adapter = replace(setting, lora=True, trained=trained, weight_bytes=2, reference=False)
        yield "peft='{r: 64, target_modules: all-linear}' model_init_kwargs='{dtype: bfloat16}'", adapter
    if setting.sharding != "none" or setting.num_gpus == 1:
        sharding = "fsdp2" if setting.sharding == "none" else setting.sharding
        for number in (2 * setting.num_gpus, 4 * setting.num_gpus):
            fewer = max(1, setting.accumulation * setting.num_gpus // number)
            more = replace(setting, num_gpus=number, sharding=sharding, accumulation=fewer)
            yield f"{number} GPUs with {sharding}", more
