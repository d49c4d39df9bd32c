"""What passes between the pool and its workers: pickled messages behind a length, and the two records they carry.

To a worker go ("load", kind names) and ("grade", seconds, task); from it come ("ready",) and ("broken", why) in answer
to the first, and ("graded", grade) in answer to the second. Answers keep the order of the questions, so that no message
needs a number. Pickle, unlike UTF-8, carries NUL bytes and lone surrogates, which model outputs do hold.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Literal, NamedTuple

_LENGTH = struct.Struct("!Q")

Fault = Literal["", "error", "memory", "deadline", "died"]
"""Why nothing was decided: "error" an exception, "memory" the limit, "deadline" too slow, "died" the process ended."""


class Task(NamedTuple):
    """One answer to grade."""

    kind: str
    gold: str
    extracted: str
    metadata: bytes
    """Pickled, so that metadata which cannot be read back spoils its own answer only; empty for None."""


class Grade(NamedTuple):
    """What became of a task."""

    correct: bool | None
    """None: undecided."""
    overruled: bool = False
    note: str = ""
    seconds: float = 0.0
    fault: Fault = ""


def encode(message: tuple[Any, ...]) -> bytes:
    """One frame."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def read_message(stream: BinaryIO) -> Any:
    """The next message of a blocking stream; None at its end."""
    header = stream.read(_LENGTH.size)
    if len(header) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(header)
    body = stream.read(length)
    return pickle.loads(body) if len(body) == length else None


class Decoder:
    """Messages out of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """The messages that `data` completes."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield pickle.loads(body)
