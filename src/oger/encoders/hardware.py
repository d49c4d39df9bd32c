"""Options that the neural encoders share: where a model runs, in which precision, how much at once."""

from __future__ import annotations

from typing import Any

import torch

from oger.words import choose

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

BATCH_TOKENS = 8192
"""Default of `batch_tokens`: tokens of one batch, padding included."""


def chosen_dtype(name: str) -> torch.dtype:
    """The dtype of that name; vectors leave as float32 whatever it is."""
    return choose(DTYPES, name, "dtype")


def chosen_device(name: str | None) -> torch.device:
    """The device of that name; None = this process's GPU where there is one, else the CPU.

    Raises:
        ValueError: the name is no device, or that sort of device is not there.
    """
    if name is None:
        name = f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # fault boundary: torch's checks of names and drivers
        raise ValueError(f"device={name!r} cannot be used: {str(error).splitlines()[0]}") from error


def positive(name: str, value: Any) -> int:
    """A whole number above 0.

    Raises:
        ValueError: it is not one; names the option.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number above 0")
    return value
