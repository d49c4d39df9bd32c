"""What a log without a terminal is told."""

from __future__ import annotations

import time

import pytest

from oger.teachers.collect import progress as collect_progress
from oger.teachers.collect.progress import Progress, Tally


def test_a_plain_line_has_count_rate_failures_and_time_left(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_progress, "PLAIN_EVERY_S", 0.05)
    tally = Tally(total=110, answers=50, failures=10, num_tokens=5000, started=time.monotonic() - 100)
    progress = Progress("collect r1", tally.total)
    progress.show(tally)
    assert capsys.readouterr().err == ""
    time.sleep(0.06)
    progress.show(tally)
    assert capsys.readouterr().err == "collect r1: 50/110 answers, 50 tokens/s, 10 failed, 0:01:40 left\n"
    progress.show(tally)
    assert capsys.readouterr().err == ""


def test_nothing_is_promised_before_the_first_answer(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect_progress, "PLAIN_EVERY_S", 0.0)
    Progress("collect r1", 5).show(Tally(total=5))
    assert capsys.readouterr().err == "collect r1: 0/5 answers, 0 tokens/s, 0 failed, ? left\n"
