"""Graders that misbehave on demand: the extracted answer says how."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

from oger.verification import Judgement


class Stop(BaseException):
    """As math-verify's TimeoutException: no Exception."""


def misbehave(gold: str, extracted: str, metadata: Any = None) -> Any:
    """Obey a leading command; grade anything else by equality."""
    command, _, argument = extracted.partition(" ")
    match command:
        case "hang":
            time.sleep(3600)
        case "spin":
            while True:
                pass
        case "hold":  # a C call that never gives the interpreter back
            ctypes.PyDLL(None).sleep(3600)
        case "ignore":
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(3600)
        case "exit":
            os._exit(int(argument))
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "recurse":
            sys.setrecursionlimit(10**9)
            return _deep(0)
        case "eat":
            return bool(bytearray(int(argument)))
        case "nibble":
            hoard = []
            while True:
                hoard.append(bytearray(2**22))
        case "stop":
            raise Stop("enough")
        case "interrupt":
            raise KeyboardInterrupt
        case "quit":
            sys.exit(3)
        case "raise":
            raise RuntimeError("out of order")
        case "mute":
            raise _MuteError
        case "print":
            print("noise" * 20_000)
            os.write(1, b"\x00\x00\x00\x00\x00\x00\x00\x01x" * 1000)
            sys.stdout.flush()
            return True
        case "read":
            return sys.stdin.read() == ""
        case "fork":
            os.fork()
            return True
        case "child":
            subprocess.Popen([sys.executable, "-c", f"import time; {argument!r}; time.sleep(3600)"])
            time.sleep(3600)
        case "slow":
            time.sleep(float(argument))
            return True
        case "half":
            return 0.5
        case "numpy":
            import numpy as np  # here, because the workers of most tests need none of it

            return np.bool_(True)
        case "judge":
            return Judgement(True, overruled=True, note="the values say otherwise")
        case "pid":
            return Judgement(True, note=str(os.getpid()))
        case "metadata":
            return metadata == {"size": 2, "name": "\ud800\x00"}
        case "big":
            return len(metadata) == int(argument)
    return gold == extracted


def _deep(depth: int) -> list[Any]:
    return list(map(_deep, [depth + 1]))  # through C, so that it is the C stack that overflows


class _MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


def always(gold: str, extracted: str, metadata: Any = None) -> bool:
    """A grader that calls everything right."""
    return True


def never(gold: str, extracted: str, metadata: Any = None) -> bool:
    """A grader that calls everything wrong."""
    return False


def broken_example(gold: str, extracted: str, metadata: Any = None) -> bool:
    """A grader that raises, with a probe."""
    raise RuntimeError("this grader needs a licence")


broken_example.probe = ("1", "1", "2", None)  # type: ignore[attr-defined]


def lenient(gold: str, extracted: str, metadata: Any = None) -> bool:
    """A grader with a probe that it does not pass."""
    return True


lenient.probe = ("1", "1", "2", None)  # type: ignore[attr-defined]
