"""SIGTERM and SIGINT: the step in progress is finished, its checkpoint saved, and the run ends with one line.

A second signal ends at once, with the last checkpoint that was saved before. Outside the training loop there is nothing
to finish, and the first signal ends at once.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import gather
from transformers import TrainerCallback

from oger.faults import RunStopped, signal_name

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopSignals(TrainerCallback):
    """A context manager that handles the signals, and a callback that stops the training it belongs to.

    Outside the main thread, where Python handles no signals, it does nothing.
    """

    def __init__(self) -> None:
        self._previous: dict[signal.Signals, Any] = {}
        self._received: int | None = None
        self._in_training = False
        self._step = 0

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._in_training or self._received is not None:
            raise RunStopped(number, f"stopped at once by {signal_name(number)}: --resume goes on with what is saved.")
        self._received = number
        # Not by print: the signal may have come in the middle of one.
        os.write(2, f"{signal_name(number)}: finishing this step and saving it; once more ends at once\n".encode())

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """From here on a signal waits for the end of the step."""
        self._in_training = True
        self._step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Saves and stops, on all ranks, if one of them has received a signal."""
        self._step = state.global_step
        if PartialState().num_processes > 1:
            mine = torch.tensor([self._received or 0], device=PartialState().device)
            self._received = int(gather(mine).max()) or None
        if self._received is not None:
            control.should_save = control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Whatever follows may be left at once."""
        self._in_training = False

    def raise_if_received(self) -> None:
        """Raises RunStopped if the training was ended, or outlived, by a signal."""
        if self._received is not None:
            raise RunStopped(
                self._received,
                f"stopped by {signal_name(self._received)} after step {self._step}, which is saved: "
                "oger train ... --resume goes on.",
            )
