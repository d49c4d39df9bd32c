"""The verifier works wherever it is called from, and no worker outlives its caller."""

import asyncio
import multiprocessing
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from oger.verification import VerifierError, VerifierPool, close_pools, shared_pool, verify_many

KIND = "tests.support.fault_graders:misbehave"
ROOT = Path(__file__).parents[3]
MIXED = ["ok", "no", "hang", "exit 1", "ok again"]


def mixed_statuses() -> list[str]:
    golds = ["ok", "ok", "ok", "ok", "ok again"]
    responses = [f"\\boxed{{{answer}}}" for answer in MIXED]
    return [verdict.status for verdict in verify_many(golds, responses, kind=KIND, timeout_s=0.5, workers=2)]


EXPECTED = ["correct", "wrong", "undecided", "undecided", "correct"]


@pytest.fixture(autouse=True, scope="module")
def _end_workers():
    yield
    close_pools()


def test_main_thread() -> None:
    assert mixed_statuses() == EXPECTED


def test_another_thread_and_then_the_main_thread() -> None:
    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(mixed_statuses).result() == EXPECTED
    assert mixed_statuses() == EXPECTED


def test_several_threads_at_once() -> None:
    with ThreadPoolExecutor(4) as executor:
        results = list(executor.map(lambda _: mixed_statuses(), range(4)))
    assert results == [EXPECTED] * 4


def test_inside_asyncio_blocking_and_in_threads() -> None:
    async def main() -> list[list[str]]:
        return [mixed_statuses(), *await asyncio.gather(*(asyncio.to_thread(mixed_statuses) for _ in range(2)))]

    assert asyncio.run(main()) == [EXPECTED] * 3


def _in_child(queue) -> None:
    queue.put((mixed_statuses(), sorted(shared_pool(2).pids)))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_inside_a_daemonic_child_with_workers_of_its_own(method: str) -> None:
    mixed_statuses()  # the parent has live workers whose pipes a fork inherits
    mine = set(shared_pool(2).pids)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,), daemon=True)
    child.start()
    statuses, theirs = queue.get(timeout=60)
    child.join()
    assert statuses == EXPECTED
    assert not mine & set(theirs)
    assert_gone(theirs)
    assert set(shared_pool(2).pids) == mine
    assert mixed_statuses() == EXPECTED


def test_a_fork_while_another_thread_grades_disturbs_neither() -> None:
    grading = threading.Thread(target=mixed_statuses)
    grading.start()
    time.sleep(0.1)
    queue = multiprocessing.get_context("fork").Queue()
    child = multiprocessing.get_context("fork").Process(target=_in_child, args=(queue,))
    child.start()
    assert queue.get(timeout=60)[0] == EXPECTED
    child.join()
    grading.join()


def test_a_fork_that_lives_on_does_not_keep_idle_workers_alive() -> None:
    script = """
        import os, sys, time
        from oger.verification import verify_many, shared_pool
        verify_many(["1"], [r"\\boxed{x}"], kind=KIND, workers=1)
        if os.fork() == 0:
            time.sleep(10)
            os._exit(0)
        print(*shared_pool(1).pids, flush=True)
        os.kill(os.getpid(), 9)
    """
    process = run_script(script)
    pids = read_pids(process)
    assert_gone(pids)


def test_a_process_that_ends_normally_leaves_no_worker() -> None:
    process = run_script("""
        from oger.verification import verify_many, shared_pool
        assert verify_many(["1"] * 3, [r"\\boxed{1}", r"\\boxed{x}", r"\\boxed{y}"], kind=KIND, workers=2)[0].outcome
        print(*shared_pool(2).pids, flush=True)
    """)
    pids = read_pids(process)
    assert process.wait(20) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert_gone(pids, within_s=1)


HANGING = """
    import threading, time
    from oger.verification import verify_many, shared_pool

    def report():
        shared_pool(2)
        while len(shared_pool(2).pids) < 2 or not started.is_set():
            time.sleep(0.01)
        time.sleep(0.5)
        print(*shared_pool(2).pids, flush=True)

    started = threading.Event()
    verify_many(["1"], [r"\\boxed{x}"], kind=KIND, workers=2)
    started.set()
    threading.Thread(target=report, daemon=True).start()
    verify_many(["1"] * 9, [r"\\boxed{hold %d}" % n for n in range(9)], kind=KIND, workers=2, timeout_s=TIMEOUT)
"""


def test_ctrl_c_ends_the_call_and_the_workers() -> None:
    process = run_script(HANGING, timeout_s=60)
    pids = read_pids(process)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    assert time.monotonic() - started < 5
    assert process.stderr is not None
    assert "KeyboardInterrupt" in process.stderr.read()
    assert_gone(pids, within_s=1)


def test_the_pool_is_usable_after_ctrl_c() -> None:
    process = run_script("""
        import signal, threading, os, time
        from oger.verification import verify_many
        verify_many(["1"], [r"\\boxed{x}"], kind=KIND, workers=2)
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            verify_many(["1"] * 20, [r"\\boxed{hang %d}" % n for n in range(20)], kind=KIND, workers=2, timeout_s=60)
        except KeyboardInterrupt:
            print(*(v.status for v in verify_many(["1"] * 2, [r"\\boxed{1}", r"\\boxed{2}"], kind=KIND, workers=2)))
    """)
    output, errors = process.communicate(timeout=30)
    assert (output, errors) == ("correct wrong\n", "")


def test_workers_of_a_killed_process_end_soon_after_the_deadline_even_inside_c_code() -> None:
    process = run_script(HANGING, timeout_s=2)
    pids = read_pids(process)
    process.kill()
    process.wait()
    assert_gone(pids, within_s=2 + 2)


def test_closing_from_another_thread_ends_a_call_in_progress() -> None:
    pool = VerifierPool(workers=2)
    errors: list[VerifierError] = []

    def grade() -> None:
        try:
            pool.verify_many(["1"] * 4, [f"\\boxed{{hang {n}}}" for n in range(4)], kind=KIND, timeout_s=60)
        except VerifierError as error:
            errors.append(error)

    thread = threading.Thread(target=grade)
    thread.start()
    time.sleep(1)
    pids = pool.pids
    pool.close()
    thread.join(timeout=5)
    assert [str(error).startswith("the verifier pool") for error in errors] == [True]
    assert_gone(pids, within_s=1)


def run_script(script: str, timeout_s: float = 5.0) -> subprocess.Popen[str]:
    """A script as a user writes it: a file of statements without a main guard, here given with -c."""
    source = f"KIND = {KIND!r}\nTIMEOUT = {timeout_s}\n" + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def read_pids(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    assert pids, process.communicate()[1]
    return pids


def assert_gone(pids: list[int], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while alive := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"workers {alive} outlived their caller"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
