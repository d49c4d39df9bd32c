"""The processes of one run: that they are one group, and that one of them owns the run folder.

An environment variable proves nothing: whoever is not the owner goes on only with the owner's word, which reaches it
through the process group.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

Found = TypeVar("Found")

_STARTED_BY = {
    "SLURM_STEP_NUM_TASKS": "srun",
    "OMPI_COMM_WORLD_SIZE": "mpirun",
    "PMI_SIZE": "mpirun",
    "MV2_COMM_WORLD_SIZE": "mpirun",
}
"""Variables in which launchers that make no process group for torch say how many processes they started."""

_LAUNCHERS = (
    "torchrun --nproc_per_node N -m oger.cli.main train ..., or accelerate launch --multi_gpu --num_processes N"
)


def check_group(processes: int | None = None) -> None:
    """Whether the process group is the one that was asked for; call it once the options of the run have made it.

    Args:
        processes: that the recipe is made for; None = any number.

    Raises:
        ValueError: the launcher, the cluster or the recipe asked for another number of processes than there are.
    """
    found = PartialState().num_processes
    announced = os.environ.get("WORLD_SIZE", "1")
    if announced != str(found):
        raise ValueError(
            f"the launcher announced WORLD_SIZE={announced} processes, and this run has {found}: on a machine without "
            "GPUs set use_cpu=true; outside a launcher unset WORLD_SIZE, RANK and LOCAL_RANK."
        )
    for variable, launcher in _STARTED_BY.items():
        asked = os.environ.get(variable, "")
        if asked.isdecimal() and int(asked) > found:
            raise ValueError(
                f"{launcher} started {asked} processes ({variable}), and each would be a run of its own (this one has "
                f"{found}): start one task per node, and in it {_LAUNCHERS}."
            )
    if found == 1 and _several_asked_of_accelerate():
        raise ValueError(
            "accelerate launch was asked for several processes and started one, as it does with --cpu and without "
            f"GPUs: use {_LAUNCHERS} (on CPUs the first, with use_cpu=true), or --num_processes 1."
        )
    if processes is not None and processes != found:
        raise ValueError(
            f"the recipe is made for processes={processes}, and this run has {found}: start it by {_LAUNCHERS}; for "
            f"another number set processes={found}, and gradient_accumulation_steps and steps_per_generation so that "
            "the batch stays what it was."
        )


def group_line() -> str | None:
    """How many processes train and how they talk to each other; None where nothing launched several."""
    state = PartialState()
    if state.num_processes == 1 and "WORLD_SIZE" not in os.environ:
        return None
    kind = str(state.distributed_type).removeprefix("DistributedType.")
    machines = -(-state.num_processes // int(os.environ.get("LOCAL_WORLD_SIZE") or state.num_processes))
    return (
        f"world size {state.num_processes} on {machines} machine{'s' * (machines > 1)}, "
        f"{kind} over {state.backend or 'nothing'}, devices {state.device.type}"
    )


def _several_asked_of_accelerate() -> bool:
    """Its launcher of one process names a meeting point for several, and nothing starts the others."""
    given = os.environ
    return "ACCELERATE_MIXED_PRECISION" in given and "MASTER_ADDR" in given and "WORLD_SIZE" not in given


def by_owner(act: Callable[[], Found]) -> Found:
    """The main process acts; every process goes on with what that found, or ends with the error that it met."""
    state = PartialState()
    found: Any = None
    error: Exception | None = None
    if state.is_main_process:
        try:
            found = act()
        except Exception as met:  # noqa: BLE001 - raised again below, on every process
            error = met
    if state.num_processes > 1:
        found, error = broadcast_object_list([found, error])
    if error is not None:
        raise error
    return found
