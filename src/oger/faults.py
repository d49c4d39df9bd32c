"""How a run may end before its last step: each is one line on the terminal, and the newest checkpoint stays whole.

Light on purpose: the command line imports it.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_TORCH_CANNOT_DRAW = "probability tensor contains"
"""In what torch.multinomial raises."""


class RunFaultError(RuntimeError):
    """The machine or the numbers ended a run: memory, disk, steps that are not finite. The message says what to do."""


class BrokenPolicyError(RunFaultError):
    """No token can be drawn from a policy, since its logits are infinite or not numbers."""

    def __init__(self, where: str = "") -> None:
        super().__init__(
            f"the policy's logits are infinite or not numbers{where}, so that nothing can be drawn: its weights "
            "are broken, or its type has too few bits."
        )


@contextmanager
def broken_policies_named() -> Iterator[None]:
    """Turns torch's error about probabilities from which no token can be drawn into a BrokenPolicyError."""
    try:
        yield
    except RuntimeError as error:
        if _TORCH_CANNOT_DRAW not in str(error):
            raise
        raise BrokenPolicyError from error


class RunStopped(BaseException):
    """A signal ended a run.

    No `Exception`, like KeyboardInterrupt: a library that tries one thing after another must not swallow it.

    Args:
        number: of the signal.
        message: one line, where the run stands.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + number
        """As a shell reports a process that the signal ended: 130 for SIGINT, 143 for SIGTERM."""


def signal_name(number: int) -> str:
    """Name of a signal.

    >>> signal_name(15)
    'SIGTERM'
    """
    return signal.Signals(number).name
