"""Waiting for a page."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

WAIT_S = 30


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "the page did not get there"
        time.sleep(0.05)
    return value
