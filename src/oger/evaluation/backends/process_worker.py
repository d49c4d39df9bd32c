"""A process of `processes.GeneratorProcesses`: loads a policy, then draws one batch after another.

Pickles come in by standard input, first what loads the policy and then batches; their responses go out by standard
output, or the ValueError that the user can put right. When the input ends the parent is gone, and so is this process at
once: a GPU is not kept for responses that nobody will store.
"""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import traceback
from typing import Any, BinaryIO


def main() -> None:
    """Serve until the input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between the answers
    tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, tasks), daemon=True).start()
    make, generator = tasks.get(), None
    while True:
        batch, settings = tasks.get()
        answer: Any
        try:
            generator = generator or make()
            answer = [response for part in generator.generate(batch, settings) for response in part]
        except ValueError as error:
            answer = ValueError(str(error))  # a class of its own may not survive being pickled
        pickle.dump(answer, answers)
        answers.flush()


def _read(source: BinaryIO, tasks: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            tasks.put(pickle.load(source))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)
    except BaseException:  # noqa: BLE001 - such as a module that is not there: the main thread would wait for ever
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    main()
