"""Verdicts on responses, from a pool that starts with the first answer that needs one and ends with the process.

Works from any thread, inside asyncio (as a blocking call), and in child processes, daemonic and forked ones included.
"""

import atexit
import os
import threading
from collections.abc import Sequence
from typing import Any

from oger.verification.formats import DEFAULT_RULES
from oger.verification.pool.pool import default_workers
from oger.verification.verdict import Verdict
from oger.verification.verifier import DEFAULT_KIND, DEFAULT_TIMEOUT_S, VerifierPool

_pools: dict[int, VerifierPool] = {}  # by number of workers
_pools_lock = threading.Lock()


def verify_many(
    golds: Sequence[str],
    responses: Sequence[str],
    *,
    kind: str | Sequence[str] = DEFAULT_KIND,
    metadata: Sequence[Any] | None = None,
    rules: Sequence[str] = DEFAULT_RULES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    workers: int | None = None,
) -> list[Verdict]:
    """Find the answer of each response by `rules` and compare it with its gold answer by the grader of its kind.

    A response without an answer is wrong. An answer is undecided, never wrong, when its grader raises, overruns the
    deadline, runs out of memory or dies; and when it is too long to look at. Equal answers are graded once, and
    decided ones are remembered.

    Args:
        golds: The gold answers, one per response.
        responses: What the model wrote.
        kind: One kind for all, or one per response: a name, or "package.module:function".
        metadata: What the grader needs besides, one entry per response; must be picklable.
        rules: Names of answer rules, applied from left to right.
        timeout_s: Deadline of each answer, wall-clock seconds from the moment its worker turns to it.
        workers: Number of processes; None = the usable cores, at most eight. Each number has a pool of its own, which
            stays until `close_pools` or the end of the process.

    Returns:
        One verdict per response, in order.

    Raises:
        ValueError: lengths differ, a text is no text, an unknown kind or rule, metadata that cannot be pickled.
        VerifierError: (a ValueError) a kind does not load in a worker, or no worker starts.
    """
    pool = shared_pool(workers)
    return pool.verify_many(golds, responses, kind=kind, metadata=metadata, rules=rules, timeout_s=timeout_s)


def verify(
    gold: str,
    response: str,
    *,
    kind: str = DEFAULT_KIND,
    metadata: Any = None,
    rules: Sequence[str] = DEFAULT_RULES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Verdict:
    """`verify_many` of one response; for several, `verify_many` is faster, because the workers share the work."""
    return verify_many([gold], [response], kind=kind, metadata=[metadata], rules=rules, timeout_s=timeout_s)[0]


def shared_pool(workers: int | None = None) -> VerifierPool:
    """This process's pool with so many workers, made on first use: the one behind `verify_many`.

    Raises:
        ValueError: `workers` is below 1.
    """
    num_workers = default_workers() if workers is None else workers
    with _pools_lock:
        if num_workers not in _pools:
            _pools[num_workers] = VerifierPool(workers=num_workers)
        return _pools[num_workers]


def close_pools() -> None:
    """End the workers of `verify_many` now rather than with the process; a later call starts new ones."""
    with _pools_lock:
        pools = list(_pools.values())
        _pools.clear()
    for pool in pools:
        pool.close()


def _forget_pools() -> None:
    """In a forked child: the workers and their pipes belong to the parent."""
    global _pools_lock
    _pools_lock = threading.Lock()  # another thread of the parent may have held it
    for pool in _pools.values():
        pool.forget()


atexit.register(close_pools)
os.register_at_fork(after_in_child=_forget_pools)
