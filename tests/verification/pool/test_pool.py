"""Whatever a grader does, every answer gets one verdict in time, and the next answer is still right."""

import os
import re
import time

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oger.verification import Verdict, VerifierError, VerifierPool

KIND = "tests.support.fault_graders:misbehave"
FAST_S = 0.6  # deadline where an answer is meant to overrun it
SLACK_S = 2.0  # the promise is 0.5 s; the machine that runs the tests may be busy


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(workers=2, memory_limit=2**28) as shared:
        shared.warm_up(KIND)
        yield shared


def ask(pool: VerifierPool, *answers: str, timeout_s: float = 20.0, **more) -> list[Verdict]:
    return pool.verify_many(
        ["ok"] * len(answers), [f"\\boxed{{{answer}}}" for answer in answers], kind=KIND, timeout_s=timeout_s, **more
    )


def assert_still_right(pool: VerifierPool) -> None:
    statuses = [verdict.status for verdict in ask(pool, "ok", f"wrong {time.monotonic()}")]
    assert statuses == ["correct", "wrong"]


@pytest.mark.parametrize("command", ["hang", "spin", "hold", "ignore"])
def test_an_answer_that_never_ends_is_undecided_at_the_deadline(pool: VerifierPool, command: str) -> None:
    started = time.monotonic()
    (verdict,) = ask(pool, command, timeout_s=FAST_S)
    assert time.monotonic() - started < FAST_S + SLACK_S
    assert (verdict.status, verdict.outcome, verdict.extracted) == ("undecided", None, command)
    assert verdict.reason == "deadline of 0.6 s passed"
    assert verdict.seconds >= FAST_S
    assert_still_right(pool)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("exit 7", "the worker died: exit status 7"),
        ("exit 0", "the worker died: exit status 0"),
        ("crash", "the worker died: signal SIGSEGV"),
        ("recurse", "the worker died: signal SIGSEGV"),
        ("eat 4000000000", "raised MemoryError"),
        ("nibble", "raised MemoryError"),
        ("stop", "raised Stop: enough"),
        ("interrupt", "raised KeyboardInterrupt"),
        ("quit", "raised SystemExit: 3"),
        ("raise", "raised RuntimeError: out of order"),
        ("mute", r"raised _MuteError: \(its text raised ValueError\)"),
        ("half", "TypeError: a grader returns True, False or a Judgement, not 0.5"),
    ],
)
def test_a_grader_that_fails_leaves_its_answer_undecided(pool: VerifierPool, command: str, reason: str) -> None:
    (verdict,) = ask(pool, command)
    assert verdict.status == "undecided"
    assert re.search(reason, verdict.reason), verdict.reason
    assert_still_right(pool)


def test_reading_and_printing_graders_do_not_disturb_the_conversation(pool: VerifierPool) -> None:
    answers = ["print", "read", "fork", "numpy", "ok", "judge"] * 3
    assert [verdict.status for verdict in ask(pool, *answers)] == ["correct"] * len(answers)
    assert_still_right(pool)


def test_a_judgement_passes_its_note_and_whether_it_was_overruled(pool: VerifierPool) -> None:
    judged, plain = ask(pool, "judge", "ok")
    assert judged.overruled
    assert "the values say otherwise" in judged.reason
    assert not plain.overruled


def test_what_was_queued_behind_a_fault_is_still_graded_in_order(pool: VerifierPool) -> None:
    answers = [f"{'ok' if index % 3 else 'no'} {index}" for index in range(200)]
    answers[::40] = ["exit 1", "hang", "crash", "raise", "hang 2"]
    golds = [answer if answer.startswith("ok") else "?" for answer in answers]
    verdicts = pool.verify_many(golds, [f"\\boxed{{{answer}}}" for answer in answers], kind=KIND, timeout_s=FAST_S)
    assert [verdict.extracted for verdict in verdicts] == answers
    expected = ["correct" if answer.startswith("ok") else "wrong" for answer in answers]
    expected[::40] = ["undecided"] * 5
    assert [verdict.status for verdict in verdicts] == expected


def test_several_hangs_are_waited_for_side_by_side(pool: VerifierPool) -> None:
    started = time.monotonic()
    verdicts = ask(pool, *(f"hang {index}" for index in range(4)), timeout_s=1.5)
    assert {verdict.reason for verdict in verdicts} == {"deadline of 1.5 s passed"}
    assert time.monotonic() - started < 4 * 1.5


def test_the_deadline_is_per_answer_not_per_call(pool: VerifierPool) -> None:
    verdicts = ask(pool, *(f"slow 0.3{index}" for index in range(8)), timeout_s=1.2)
    assert {verdict.status for verdict in verdicts} == {"correct"}
    assert sum(verdict.seconds for verdict in verdicts) > 2


def test_a_deadline_does_not_count_the_start_of_a_worker() -> None:
    with VerifierPool(workers=1) as fresh:
        (verdict,) = ask(fresh, "ok", timeout_s=0.05)
    assert verdict.status == "correct"


def test_large_metadata_in_both_directions_does_not_block(pool: VerifierPool) -> None:
    sizes = [5_000_000 + index for index in range(6)]
    golds, responses = ["ok"] * 6, [f"\\boxed{{big {size}}}" for size in sizes]
    verdicts = pool.verify_many(golds, responses, kind=KIND, metadata=["x" * size for size in sizes])
    assert {verdict.status for verdict in verdicts} == {"correct"}


def test_strange_characters_reach_the_grader_unchanged(pool: VerifierPool) -> None:
    text = "a\x00b\ud800c\u2028\U0001f600"
    metadata = {"size": 2, "name": "\ud800\x00"}
    verdicts = pool.verify_many(
        [text, "ok"], [f"\\boxed{{{text}}}", r"\boxed{metadata}"], kind=KIND, metadata=[None, metadata]
    )
    assert [verdict.status for verdict in verdicts] == ["correct", "correct"]
    assert verdicts[0].extracted == text


def test_a_grader_takes_its_own_children_with_it(pool: VerifierPool) -> None:
    mark = f"orphan-{os.getpid()}-{time.monotonic_ns()}"
    (verdict,) = ask(pool, f"child {mark}", timeout_s=1.0)
    assert verdict.reason == "deadline of 1 s passed"
    deadline = time.monotonic() + 5
    while any(mark in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < deadline, "a process that a grader started outlived it"
        time.sleep(0.05)


def test_workers_stay_from_call_to_call_and_only_faults_replace_them(pool: VerifierPool) -> None:
    ask(pool, "pid", "ok")
    before, restarts = set(pool.pids), pool.statistics.restarts
    for index in range(5):
        ask(pool, f"again {index}", f"and again {index}")
    assert set(pool.pids) == before
    ask(pool, "exit 1")
    assert len(set(pool.pids) - before) == 1
    assert pool.statistics.restarts == restarts + 1


def test_a_worker_killed_between_two_calls_costs_no_answer(pool: VerifierPool) -> None:
    for pid in pool.pids:
        psutil.Process(pid).kill()
        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=0.1)
    assert_still_right(pool)


def test_a_single_question_starts_one_spare_worker_and_no_more() -> None:
    with VerifierPool(workers=4) as fresh:
        ask(fresh, "ok")
        assert len(fresh.pids) == 2


def test_closing_ends_the_workers_and_later_calls_say_so() -> None:
    with VerifierPool(workers=2) as fresh:
        ask(fresh, "ok")
        pids = fresh.pids
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(VerifierError, match="closed"):
        ask(fresh, "not ok")


def test_a_kind_that_does_not_load_in_a_worker_is_one_error_not_many_undecided(pool: VerifierPool) -> None:
    kind = "tests.support.fault_graders:broken_example"
    with pytest.raises(
        VerifierError, match=r"broken_example' does not load .*RuntimeError: this grader needs a licence"
    ):
        pool.verify_many(["1"] * 50, [r"\boxed{1}"] * 50, kind=kind)
    assert_still_right(pool)


def test_an_unknown_kind_is_an_error_before_any_worker_starts() -> None:
    with VerifierPool(workers=1) as fresh:
        with pytest.raises(ValueError, match="did you mean 'math'"):
            fresh.verify_many(["1"], [r"\boxed{1}"], kind="maht")
        assert fresh.pids == []


def test_workers_that_never_start_are_an_error_with_what_they_said(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    broken = tmp_path / "oger" / "__init__.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('half an installation')")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        VerifierPool(workers=2) as fresh,
        pytest.raises(
            VerifierError, match=r"(?s)does not start \(3 times in a row: exit status 1\).*half an installation"
        ),
    ):
        ask(fresh, "ok")


commands = st.sampled_from(["ok", "ok", "no", "no", "raise", "stop", "exit", "crash", "hang", "print", "eat"])
arguments = {"ok": "", "exit": " 1", "eat": " 4000000000"}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(commands, max_size=16))
def test_every_answer_gets_exactly_one_verdict(pool: VerifierPool, words: list[str]) -> None:
    before = pool.statistics
    answers = [word + arguments.get(word, f" {index}") for index, word in enumerate(words)]
    verdicts = ask(pool, *answers, timeout_s=0.4)
    assert [verdict.extracted for verdict in verdicts] == answers
    expected = {"ok": "correct", "print": "correct", "no": "wrong"}
    assert [verdict.status for verdict in verdicts] == [expected.get(word, "undecided") for word in words]
    after = pool.statistics
    assert after.seen - before.seen == len(answers)
    assert after.seen == after.no_answer + after.too_long + after.instant + after.cached + after.graded


def test_a_kind_that_fails_to_load_while_a_spare_still_starts_leaves_no_stale_answer(pool: VerifierPool) -> None:
    for _ in range(5):
        ask(pool, "exit 1")  # its replacement is still starting when the next call comes
        with pytest.raises(VerifierError, match="needs a licence"):
            pool.verify_many(["1"], [r"\boxed{1}"], kind="tests.support.fault_graders:broken_example")
        assert_still_right(pool)
        assert_still_right(pool)
