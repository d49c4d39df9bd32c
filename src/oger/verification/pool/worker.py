"""The worker process: reads tasks, grades them one by one, and survives what a grader throws at it.

Run by the pool as `python -m oger.verification.pool.worker BYTES`; BYTES is the address space that a grader may add to
what the loaded kinds take. It ends by itself in every case: idle at the end of its input; inside a task by the kernel's
alarm, one second after the deadline, even if the parent was killed and a C function never gives the interpreter back.
"""

import contextlib
import gc
import os
import pickle
import resource
import signal
import sys
import time
from typing import Any, BinaryIO

from oger.verification.kinds import load_kind
from oger.verification.pool.frames import Fault, Grade, Task, encode, read_message
from oger.verification.verdict import Judgement

_ALARM_GRACE_S = 1.0  # after the deadline; the parent's own kill comes first unless the parent is gone or stopped
_MAX_NOTE_CHARACTERS = 500


def serve(tasks: BinaryIO, answers: BinaryIO, memory_limit: int) -> None:
    """Answer messages until the end of `tasks`."""
    process = os.getpid()
    while (message := read_message(tasks)) is not None:
        if message[0] == "load":
            answer = _load(message[1], memory_limit)
        else:
            _, deadline_s, task = message
            signal.setitimer(signal.ITIMER_REAL, deadline_s + _ALARM_GRACE_S)
            answer = ("graded", _grade(task))
            signal.setitimer(signal.ITIMER_REAL, 0)
        if os.getpid() != process:
            os._exit(0)  # a grader forked, and this is the copy: it must not answer a second time
        answers.write(encode(answer))
        answers.flush()


def _load(names: tuple[str, ...], memory_limit: int) -> tuple[Any, ...]:
    """Import kinds and grade their examples once, so that no answer's deadline pays for an import."""
    _limit_address_space(None)
    for name in names:
        try:
            kind = load_kind(name)
            if kind.probe is not None:
                gold, right, _, metadata = kind.probe
                kind.grade(gold, right, metadata)
        except BaseException as error:  # noqa: BLE001 - the fault boundary: the parent raises it as its own error
            return ("broken", name, _describe(error))
    gc.freeze()  # what the imports left is never garbage: do not walk it again and again
    _limit_address_space(memory_limit)
    return ("ready",)


def _grade(task: Task) -> Grade:
    started = time.monotonic()
    try:
        metadata = pickle.loads(task.metadata) if task.metadata else None
        judgement = _judgement(load_kind(task.kind).grade(task.gold, task.extracted, metadata))
    except BaseException as error:  # noqa: BLE001 - the fault boundary: third-party code on model output
        # An interpreter that runs out of memory while it raises an error raises a SystemError.
        fault: Fault = "memory" if isinstance(error, MemoryError | SystemError) else "error"
        return Grade(None, note=_describe(error), seconds=time.monotonic() - started, fault=fault)
    seconds = time.monotonic() - started
    return Grade(judgement.correct, judgement.overruled, judgement.note[:_MAX_NOTE_CHARACTERS], seconds)


def _judgement(result: Any) -> Judgement:
    if isinstance(result, Judgement):
        return result
    if isinstance(result, bool) or type(result).__name__ in ("bool_", "bool"):  # numpy's booleans are no bool
        return Judgement(bool(result))
    raise TypeError(f"a grader returns True, False or a Judgement, not {result!r:.80}")


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as failure:  # noqa: BLE001 - the fault boundary again: an exception of a grader's own making
        text = f"(its text raised {type(failure).__name__})"
    return f"{type(error).__name__}: {text}"[:_MAX_NOTE_CHARACTERS]


def _limit_address_space(extra_bytes: int | None) -> None:
    """Let the process grow by `extra_bytes` from now on, or without limit for None."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard
    if extra_bytes is not None and sys.platform == "linux":  # elsewhere the limit is not enforced
        with open("/proc/self/statm") as status:
            soft = int(status.read().split()[0]) * resource.getpagesize() + extra_bytes
        if hard != resource.RLIM_INFINITY:
            soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The two pipes under numbers of their own: what a grader reads or prints must not touch the frames."""
    tasks = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return tasks, answers


def main() -> None:
    """Entry point of the worker process."""
    tasks, answers = _private_streams()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, and nobody waits for the answer
        serve(tasks, answers, int(sys.argv[1]))
    os._exit(0)  # no clean-up of third-party libraries: there is nothing of value in here


if __name__ == "__main__":
    main()
