"""Hostile answers: each gets its verdict within the deadline, nothing is executed, and the next answer is right."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from oger.verification import Verdict, VerifierPool
from tests.support.hostile_answers import HOSTILE, Hostile

_DEADLINE_S = 1.0
_GRACE_S = 0.5
_BUSY_S = 20.0  # of wall clock, for starting the next worker on a machine under load
_fresh = count(2)  # no answer of these tests may come from the cache


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=2) as pool:
        yield pool


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


def _grade_all(pool: VerifierPool, marker: Path) -> list[Verdict]:
    """The whole set in as few calls as there are rules, with half the deadline: what hangs, hangs at any."""
    by_rules: dict[tuple[str, ...], list[Hostile]] = {}
    for hostile in HOSTILE:
        by_rules.setdefault(hostile.rules, []).append(hostile)
    verdicts: list[Verdict] = []
    for rules, group in by_rules.items():
        verdicts += pool.verify_many(
            [item.gold.replace("{marker}", str(marker)) for item in group],
            [item.response.replace("{marker}", str(marker)) for item in group],
            kind=[item.kind for item in group],
            rules=rules,
            timeout_s=_DEADLINE_S / 2,
        )
    return verdicts


def _check(verdicts: list[Verdict], marker: Path) -> None:
    assert len(verdicts) == len(HOSTILE)
    assert "correct" not in {verdict.status for verdict in verdicts}
    assert max(verdict.seconds for verdict in verdicts) < _DEADLINE_S / 2 + _GRACE_S
    assert not marker.exists()


def _next_is_right(pool: VerifierPool) -> None:
    n = next(_fresh)
    golds = [rf"{n}\sqrt{{2}}"] * 2
    verdicts = pool.verify_many(golds, [rf"\boxed{{\frac{{{2 * n}}}{{\sqrt{{2}}}}}}", rf"\boxed{{{n}\sqrt{{3}}}}"])
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong"]


def test_the_set_is_large_enough() -> None:
    assert len(HOSTILE) >= 50
    assert len({hostile.name for hostile in HOSTILE}) == len(HOSTILE)


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile.name)
def test_a_hostile_answer_is_stopped_and_the_next_one_is_right(
    hostile: Hostile, pool: VerifierPool, marker: Path
) -> None:
    started = time.monotonic()
    verdict = pool.verify_many(
        [hostile.gold.replace("{marker}", str(marker))],
        [hostile.response.replace("{marker}", str(marker))],
        kind=hostile.kind,
        rules=hostile.rules,
        timeout_s=_DEADLINE_S,
    )[0]
    assert verdict.status != "correct"
    assert verdict.seconds < _DEADLINE_S + _GRACE_S
    assert time.monotonic() - started < _DEADLINE_S + _BUSY_S
    assert not marker.exists()
    _next_is_right(pool)


@pytest.mark.soak
def test_the_set_passes_off_the_main_thread(marker: Path) -> None:
    verdicts: list[Verdict] = []
    with VerifierPool(workers=2) as own:
        thread = threading.Thread(target=lambda: verdicts.extend(_grade_all(own, marker)))
        thread.start()
        thread.join()
        _check(verdicts, marker)
        _next_is_right(own)


def test_the_set_passes_inside_asyncio(marker: Path) -> None:
    async def grade(own: VerifierPool) -> list[Verdict]:
        return _grade_all(own, marker)  # blocks the loop, as a reward function does

    with VerifierPool(workers=2) as own:
        _check(asyncio.run(grade(own)), marker)
        _next_is_right(own)


@pytest.mark.soak
def test_the_set_passes_in_a_child_process(marker: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from oger.verification import VerifierPool\n"
        "from tests.verification.test_hostile import _grade_all, _next_is_right\n"
        "with VerifierPool(workers=2) as pool:\n"
        "    verdicts = _grade_all(pool, Path(sys.argv[1]))\n"
        "    _next_is_right(pool)\n"
        "print(json.dumps([[v.status, v.seconds] for v in verdicts]))\n"
    )
    root = Path(__file__).parents[2]
    child = subprocess.run(
        [sys.executable, "-c", script, str(marker)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert child.returncode == 0, child.stderr
    verdicts = [Verdict(status, None, "", seconds) for status, seconds in json.loads(child.stdout)]
    _check(verdicts, marker)
