"""Several processes: the responses of one, errors in one line, and nothing left behind."""

from __future__ import annotations

from functools import partial

import psutil
import pytest

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.processes import GeneratorProcesses
from tests.support.evaluation_makers import make_broken, make_dying, make_tiny

SETTINGS = SamplingSettings(temperature=1.0, top_p=1.0, max_tokens=12, seed=3)
BATCHES = [[Request(f"p{n}", sample, f"{n}+1=?") for sample in range(3)] for n in range(5)]


def by_key(parts) -> dict[tuple[str, int], Generated]:
    return {(r.problem, r.sample): r for part in parts for r in part}


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_two_processes_give_the_responses_of_one_and_end_with_their_context() -> None:
    before = children()
    with GeneratorProcesses(make_tiny, 2) as processes:
        assert len(children() - before) == 2
        together = by_key(processes.draw(BATCHES, SETTINGS))
        assert by_key(processes.draw(BATCHES[:1], SETTINGS)) == {k: r for k, r in together.items() if k[0] == "p0"}
    assert children() <= before
    alone = make_tiny()
    assert together == by_key(part for batch in BATCHES for part in alone.generate(batch, SETTINGS))


@pytest.mark.parametrize(
    ("make", "message"),
    [(partial(make_broken, "no such model"), "no such model"), (make_dying, r"exit status -9.*same command again")],
)
def test_a_process_that_cannot_go_on_is_one_error_and_the_others_end(make, message) -> None:
    before = children()
    with pytest.raises(ValueError, match=message), GeneratorProcesses(make, 2) as processes:
        by_key(processes.draw(BATCHES, SETTINGS))
    assert children() <= before


def test_a_process_ends_when_the_parents_pipe_closes() -> None:
    processes = GeneratorProcesses(make_tiny, 1)
    [worker] = processes._workers
    worker._process.stdin.close()
    assert worker._process.wait(timeout=60) == 0
    with processes:
        pass
