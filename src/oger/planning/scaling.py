"""The same rollout batch on other numbers of GPUs: how long each stage takes there, and what part of the step it is."""

from __future__ import annotations

import dataclasses
import math

from oger.planning.plan import Plan, make_plan
from oger.planning.setting import Setting

NUMBERS = (1, 8, 64)
"""Of GPUs, that every plan compares."""


def same_batch(setting: Setting, num_gpus: int) -> Setting | None:
    """The setting on another number of GPUs, with fewer or more micro-batches; None where its rows do not divide."""
    if num_gpus == setting.num_gpus:
        return setting
    per_gpu, left = divmod(setting.rows * setting.accumulation * setting.num_gpus, num_gpus)
    if left or not per_gpu:
        return None
    rows = math.gcd(setting.rows, per_gpu)
    steps, rest = divmod(setting.steps_per_generation * per_gpu, setting.accumulation * rows)
    if rest:
        return None
    sharding = "none" if num_gpus == 1 else "fsdp2" if setting.num_gpus == 1 else setting.sharding
    return dataclasses.replace(
        setting,
        num_gpus=num_gpus,
        rows=rows,
        accumulation=per_gpu // rows,
        steps_per_generation=steps,
        sharding=sharding,
        tensor_parallel=setting.tensor_parallel
        if setting.engine == "server"
        else math.gcd(setting.tensor_parallel, num_gpus),
    )


def same_batch_plans(setting: Setting) -> dict[int, Plan | None]:
    """Number of GPUs -> the plan of the same batch there."""
    changed = {number: same_batch(setting, number) for number in NUMBERS}
    return {number: None if one is None else make_plan(one) for number, one in changed.items()}
