"""The processes of one run: that they are one group, and that one of them owns the run folder.

An environment variable proves nothing: whoever is not the owner goes on only with the owner's word, which reaches it
through the process group.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from accelerate import PartialState
from accelerate.utils import broadcast_object_list


def check_group() -> None:
    """Raises ValueError unless the process group has as many processes as the launcher announced.

    Call it once the options of the run have made the group.
    """
    announced = os.environ.get("WORLD_SIZE", "1")
    found = PartialState().num_processes
    if announced != str(found):
        raise ValueError(
            f"the launcher announced WORLD_SIZE={announced} processes, and this run has {found}: on a machine without "
            "GPUs set use_cpu=true; outside a launcher unset WORLD_SIZE, RANK and LOCAL_RANK."
        )


def by_owner(act: Callable[[], None]) -> None:
    """The main process acts; every process then goes on, or ends with the error that the main one met."""
    state = PartialState()
    error: list[Exception | None] = [None]
    if state.is_main_process:
        try:
            act()
        except Exception as met:  # noqa: BLE001 - raised again below, on every process
            error = [met]
    if state.num_processes > 1:
        broadcast_object_list(error)
    if error[0] is not None:
        raise error[0]
