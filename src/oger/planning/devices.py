"""Accelerators by memory or by name: what they hold, how fast they multiply and how fast they read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from oger.words import choose


@dataclass(frozen=True)
class Device:
    """One accelerator, as its maker states it."""

    name: str
    memory_gib: float
    peak_flops: float
    """Dense bfloat16 with float32 sums, per second."""
    bandwidth: float
    """Bytes read from memory per second."""


def _device(name: str, memory_gib: float, tflops: float, terabytes: float) -> Device:
    return Device(name, memory_gib, tflops * 1e12, terabytes * 1e12)


DEVICES: Mapping[str, Device] = {
    device.name: device
    for device in (
        _device("rtx4090", 24, 165, 1.01),
        _device("a10g", 24, 125, 0.60),
        _device("a100-40", 40, 312, 1.56),
        _device("l40s", 48, 362, 0.86),
        _device("a100", 80, 312, 2.04),
        _device("h100", 80, 989, 3.35),
        _device("h200", 141, 989, 4.80),
        _device("b200", 180, 2250, 8.00),
    )
}

_OF_MEMORY = {24: "rtx4090", 40: "a100-40", 48: "l40s", 80: "h100", 141: "h200", 180: "b200"}


def parse_gpus(text: str) -> tuple[int, Device]:
    """(number, device) of "8x80", memory in GiB, or "8xa100".

    >>> number, device = parse_gpus("8x80")
    >>> number, device.name
    (8, 'h100')

    Raises:
        ValueError: not of that form, or an unknown name or memory.
    """
    match = re.fullmatch(r"(\d+)x([\w-]+)", text.strip().lower())
    if match is None or int(match[1]) < 1:
        raise ValueError(f"--gpus {text!r} is not of the form NUMBERxMEMORY or NUMBERxNAME, as in 8x80 or 8xa100")
    number, what = int(match[1]), match[2]
    if what.isdecimal():
        if int(what) not in _OF_MEMORY:
            sizes = ", ".join(map(str, _OF_MEMORY))
            raise ValueError(
                f"--gpus {text}: no GPU with {what} GiB is known ({sizes}); name one: {', '.join(DEVICES)}"
            )
        what = _OF_MEMORY[int(what)]
    return number, choose(DEVICES, what, "GPU")
