"""`oger teachers collect`, as a real process against a real server: killed, interrupted, refused, continued."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

import oger
from tests.support.endpoint_server import Call, EndpointServer

POLICY_FOLDER = Path(oger.__file__).parent / "worlds" / "arithmetic" / "policy"
KEY = "sk-the-key-that-nobody-may-see"


def prompts(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    rows = [{"prompt": f"What is #{n}?", "answer": str(n), "kind": "math", "metadata": {"n": n}} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def arguments(server: EndpointServer, folder: Path, *more: object, model: str = "m") -> list[str]:
    first = ["teachers", "collect", "--prompts", folder / "prompts.jsonl", "--out", folder / "out.jsonl"]
    rest = ["--endpoint", server.url, "--model", model, "--teacher", "r1", "--retry-wait", 0.01, *more]
    return [str(part) for part in (*first, *rest)]


def start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "oger.cli.main", *arguments]
    environment = {**os.environ, "COLUMNS": "200"} | options.pop("env", {})
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    return subprocess.Popen(command, env=environment, **pipes)


def end(process: subprocess.Popen[str], timeout_s: float = 60.0) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, out, err


def lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "out.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def whole_lines(folder: Path) -> list[dict[str, Any]]:
    """Those of a file whose last line may be torn."""
    path = folder / "out.jsonl"
    content = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


def test_answers_become_lines_and_the_way_on_is_shown(oger, tmp_path) -> None:
    prompts(tmp_path, 5)
    with EndpointServer(lambda call: "length" if call.key[0] == "#3" else "same") as server:
        result = oger(*arguments(server, tmp_path, "--samples", 2, "--price-in", 1, "--price-out", 10))
    assert result.code == 0, result.err
    assert "10 of 10 answers (10 new), 2 of the file's 10 cut by the length limit" in result.out
    assert "110 prompt tokens, 230 answer tokens, USD 0.0024" in result.out
    assert f"oger teachers curate --source r1=plain:{tmp_path / 'out.jsonl'}" in result.out
    got = lines(tmp_path)
    assert sorted((line["prompt"], line["sample"]) for line in got) == [
        (f"What is #{n}?", s) for n in range(5) for s in (0, 1)
    ]
    assert {line["truncated"] for line in got if line["answer"] == "3"} == {True}
    assert sum(line["text"] == "the same text" for line in got) == 8  # equal texts of two samples are two answers
    assert len({line["id"] for line in got}) == 10
    assert not (tmp_path / "out.failures.jsonl").exists()


def test_a_server_that_gives_no_finish_reason_is_named_and_its_answers_are_kept_out(oger, tmp_path) -> None:
    prompts(tmp_path, 8)
    with EndpointServer(lambda call: "no-finish") as server:
        result = oger(*arguments(server, tmp_path))
    assert result.code == 0, result.err
    assert "8 of the file's 8 cut by the length limit or refused" in result.out
    assert "8 answers came without a finish reason" in result.out
    assert {line["finish_reason"] for line in lines(tmp_path)} == {"unknown"}
    source = f"r1=plain:{tmp_path / 'out.jsonl'}"
    table = oger("teachers", "curate", "--source", source, "--out", tmp_path / "table", "--tokenizer", "words")
    assert "8 truncated" in table.out  # among them the right answer to #7


def test_curate_reads_what_was_collected(oger, tmp_path) -> None:
    prompts(tmp_path, 12)
    with EndpointServer(lambda call: "length" if call.key[0] == "#3" else "reasoning") as server:
        assert oger(*arguments(server, tmp_path, "--samples", 2)).code == 0
    source = f"r1=plain:{tmp_path / 'out.jsonl'}"
    result = oger("teachers", "curate", "--source", source, "--out", tmp_path / "table", "--tokenizer", "words")
    assert result.code == 0, result.err
    assert "2 truncated" in result.out  # those of #3
    assert "20 wrong" in result.out  # every answer is 7
    assert "12 prompts, 1 trajectories" in result.out


def test_a_finished_collection_asks_nothing_and_more_samples_ask_only_those(oger, tmp_path) -> None:
    prompts(tmp_path, 4)
    with EndpointServer() as server:
        assert oger(*arguments(server, tmp_path)).code == 0
        before = (tmp_path / "out.jsonl").read_bytes()
        assert oger(*arguments(server, tmp_path)).code == 0
        assert len(server.calls) == 4
        assert (tmp_path / "out.jsonl").read_bytes() == before
        assert oger(*arguments(server, tmp_path, "--samples", 3)).code == 0
    assert len(server.calls) == 12
    assert set(server.asked().values()) == {1}
    assert (tmp_path / "out.jsonl").read_bytes().startswith(before)


def test_concurrency_is_a_limit_and_is_used(oger, tmp_path) -> None:
    prompts(tmp_path, 30)
    with EndpointServer(lambda call: "delay:0.03") as server:
        assert oger(*arguments(server, tmp_path, "--concurrency", 5)).code == 0
    assert server.most_at_once == 5


def test_every_passing_fault_leaves_one_answer_each(oger, tmp_path) -> None:
    prompts(tmp_path, 40)
    faults = [
        "429",
        "429 retry-after:0",
        "500",
        "broken-json",
        "drop",
        "drop-mid-body",
        "empty",
        "delay:0.05",
        "trickle",
        "",
    ]

    def script(call: Call) -> str:
        return faults[int(call.key[0][1:]) % len(faults)] if call.number <= 2 else ""

    with EndpointServer(script) as server:
        result = oger(*arguments(server, tmp_path, "--deadline", 0.5, "--concurrency", 8))
    assert result.code == 0, result.err
    assert sorted(int(line["answer"]) for line in lines(tmp_path)) == list(range(40))


def test_a_request_without_an_answer_is_noted_and_asked_again_next_time(oger, tmp_path) -> None:
    prompts(tmp_path, 6)
    broken = {"#2": "500", "#4": "400"}
    with EndpointServer(lambda call: broken.get(call.key[0], "")) as server:
        result = oger(*arguments(server, tmp_path, "--retries", 2, "--concurrency", 2))
        assert result.code == 2
        assert len(result.err.strip().splitlines()) == 1
        assert "2 of 6 requests failed" in result.err
        assert "run the same command again" in result.err
        notes = [json.loads(line) for line in (tmp_path / "out.failures.jsonl").read_text().splitlines()]
        found = {note["prompt"]: (note["attempts"], note["reason"]) for note in notes}
        assert found == {"What is #2?": (3, "HTTP 500: status 500"), "What is #4?": (1, "HTTP 400: status 400")}
        assert len(lines(tmp_path)) == 4
        broken.clear()
        assert oger(*arguments(server, tmp_path)).code == 0
    assert len(lines(tmp_path)) == 6
    assert not (tmp_path / "out.failures.jsonl").exists()
    assert all(count == 1 for (tag, _), count in server.asked().items() if tag not in ("#2", "#4"))


def test_refusals_from_the_start_end_the_run_early(oger, tmp_path) -> None:
    prompts(tmp_path, 50)
    with EndpointServer(lambda call: "400") as server:
        result = oger(*arguments(server, tmp_path, "--concurrency", 2))
    assert result.code == 2
    assert "refused the first 3 requests (HTTP 400: status 400): check the options" in result.err
    assert len(server.calls) <= 5


def test_a_server_that_is_gone_ends_the_run(oger, tmp_path) -> None:
    prompts(tmp_path, 60)
    calls = itertools.count()
    with EndpointServer(lambda call: "" if next(calls) < 10 else "500") as server:
        result = oger(*arguments(server, tmp_path, "--concurrency", 4, "--retries", 1))
    assert result.code == 2
    assert "8 requests in a row failed; the last: HTTP 500" in result.err
    assert "(50 answers missing; what came is kept" in result.err
    assert len(lines(tmp_path)) == 10
    assert len(server.calls) < 10 + 2 * 20


def test_a_wrong_key_is_one_line_and_keeps_what_came(oger, tmp_path) -> None:
    prompts(tmp_path, 30)
    with EndpointServer(lambda call: "" if int(call.key[0][1:]) < 10 else "401") as server:
        result = oger(*arguments(server, tmp_path, "--concurrency", 3))
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 1
    assert "HTTP 401: status 401" in result.err
    assert "20 answers missing" in result.err
    assert len(lines(tmp_path)) == 10
    assert len(server.calls) <= 13


def test_other_settings_on_the_same_file_are_refused(oger, tmp_path) -> None:
    prompts(tmp_path, 2)
    with EndpointServer() as server:
        assert oger(*arguments(server, tmp_path)).code == 0
        before = (tmp_path / "out.jsonl").read_bytes()
        result = oger(*arguments(server, tmp_path, "--temperature", 1.0))
        assert result.code == 2
        assert "was collected with temperature 0.6, this command says 1.0" in result.err
        assert "model 'm', this command says 'other'" in oger(*arguments(server, tmp_path, model="other")).err
        assert len(server.calls) == 2
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_second_process_is_refused(oger, tmp_path) -> None:
    prompts(tmp_path, 4)
    release = threading.Event()
    with EndpointServer(lambda call: "" if release.wait(30) else "500") as server:
        process = start(arguments(server, tmp_path))
        server.wait_for_calls(4)
        result = oger(*arguments(server, tmp_path))
        release.set()
        assert result.code == 2
        assert "another process is collecting" in result.err
        code, _, err = end(process)
    assert code == 0, err
    assert len(server.calls) == len(lines(tmp_path)) == 4


def test_a_dry_run_makes_no_request_and_no_file(oger, tmp_path) -> None:
    prompts(tmp_path, 10)
    dry = ("--dry-run", "--max-tokens", 1000, "--price-in", 1.0, "--price-out", 10.0)
    with EndpointServer() as server:
        result = oger(*arguments(server, tmp_path, *dry))
        assert result.code == 0, result.err
        assert not (tmp_path / "out.jsonl").exists()
        assert "10 requests to make; 0 of 10 are answered" in result.out
        assert "prompt tokens: 30 (guessed as characters / 4)" in result.out
        assert "answer tokens: at most 10000" in result.out
        assert "cost: at least USD 0.0000, at most USD 0.1000" in result.out
        assert not server.calls
        assert oger(*arguments(server, tmp_path, "--max-tokens", 1000, "--limit", 4)).code == 0
        before = (tmp_path / "out.jsonl").read_bytes()
        result = oger(*arguments(server, tmp_path, *dry))
    assert "6 requests to make; 4 of 10 are answered" in result.out
    assert "if as long as the 4 so far: 138" in result.out
    assert len(server.calls) == 4
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_a_dry_run_counts_with_a_tokenizer(oger, tmp_path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "12+34=?"}\n{"prompt": "5*6=?"}\n')
    with EndpointServer() as server:
        result = oger(*arguments(server, tmp_path, "--dry-run", "--completions", "--tokenizer", POLICY_FOLDER))
    assert result.code == 0, result.err
    assert f"prompt tokens: 12 (by {POLICY_FOLDER})" in result.out  # that tokenizer's tokens are characters


def test_a_dry_run_counts_the_chat_template_too(oger, tmp_path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(POLICY_FOLDER)
    tokenizer.chat_template = (
        "{% for m in messages %}={{ m['content'] }}={% endfor %}{% if add_generation_prompt %}?{% endif %}"
    )
    tokenizer.save_pretrained(tmp_path / "chat")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "12+34=?"}\n')
    with EndpointServer() as server:
        result = oger(*arguments(server, tmp_path, "--dry-run", "--tokenizer", tmp_path / "chat"))
    assert "prompt tokens: 10 " in result.out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--price-in", 1), "both --price-in and --price-out"),
        (("--tokenizer", "x"), "--tokenizer counts prompt tokens for --dry-run"),
        (("--out", "answers.txt"), "must be a .jsonl file"),
        (("--out", "absent/a.jsonl"), "in a folder that exists"),
        (("--body", "{"), "--body is not JSON"),
        (("--body", "[]"), "--body must be a JSON object"),
        (("--body", '{"n": 2}'), "cannot set 'n'"),
        (("--api-key-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (("--endpoint", "http://me:pw@host/v1"), "carries a password"),
        (("--prompts", "absent.jsonl"), "absent.jsonl does not exist"),
    ],
)
def test_a_wrong_option_is_one_line_and_no_request(oger, tmp_path, more: tuple[object, ...], message: str) -> None:
    prompts(tmp_path, 2)
    with EndpointServer() as server:
        result = oger(*arguments(server, tmp_path, *more))
    assert result.code == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not server.calls
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("script", ["echo", "echo 401", "echo 500", "echo 400"])
def test_the_key_is_in_no_output_and_no_file(tmp_path, script: str) -> None:
    prompts(tmp_path, 3)
    environment = {"TEACHER_KEY": KEY, "OGER_DEBUG": "1"}
    with EndpointServer(lambda call: script) as server:
        more = ("--api-key-env", "TEACHER_KEY", "--retries", 1)
        code, out, err = end(start(arguments(server, tmp_path, *more), env=environment))
    assert all(call.headers["Authorization"] == f"Bearer {KEY}" for call in server.calls)
    assert (code == 0) == (script == "echo")
    files = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert any("you sent" in text for text in [*files, out, err])
    assert not [text for text in [*files, out, err] if KEY in text]


def test_without_the_option_no_key_is_sent(tmp_path) -> None:
    prompts(tmp_path, 1)
    with EndpointServer() as server:
        code, _, err = end(start(arguments(server, tmp_path), env={"OPENAI_API_KEY": KEY}))
    assert code == 0, err
    assert "Authorization" not in server.calls[0].headers


def test_ctrl_c_keeps_what_came_and_says_how_to_go_on(tmp_path) -> None:
    prompts(tmp_path, 40)
    with EndpointServer(lambda call: "delay:0.2") as server:
        process = start(arguments(server, tmp_path, "--concurrency", 4))
        server.wait_for_calls(10)
        process.send_signal(signal.SIGINT)
        code, _, err = end(process)
        assert code == 130
        kept = len(lines(tmp_path))
        assert kept == len(server.calls) == len(server.completed)  # answers under way were waited for
        assert f"{40 - kept} answers missing: run the same command again" in err
        assert "Traceback" not in err
        server.script = lambda call: ""
        assert end(start(arguments(server, tmp_path)))[0] == 0
    assert len(lines(tmp_path)) == 40
    assert set(server.asked().values()) == {1}


def test_a_second_ctrl_c_does_not_wait(tmp_path) -> None:
    prompts(tmp_path, 8)
    with EndpointServer(lambda call: "" if int(call.key[0][1:]) < 2 else "delay:60") as server:
        process = start(arguments(server, tmp_path, "--concurrency", 4))
        server.wait_for_calls(6)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again drops them" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        code, _, err = end(process)
        assert time.monotonic() - started < 8
    assert code == 130
    assert "6 answers missing" in err
    assert len(lines(tmp_path)) == 2


def test_a_full_disk_is_one_line_and_leaves_whole_lines(tmp_path) -> None:
    prompts(tmp_path, 30)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    with EndpointServer(lambda call: "fill:3000") as server:
        code, _, err = end(start(arguments(server, tmp_path), preexec_fn=small_files))
        assert code == 2
        assert err.startswith("error: cannot write")
        assert len(err.strip().splitlines()) == 1
        kept = lines(tmp_path)
        assert 0 < len(kept) < 7
        assert f"{len(kept)} answers are in it" in err
        assert end(start(arguments(server, tmp_path)))[0] == 0
    assert len(lines(tmp_path)) == 30
    assert lines(tmp_path)[: len(kept)] == kept


def kill_and_resume(folder: Path, *, rounds: int, seed: int, count: int, samples: int) -> dict[str, int]:
    """Kill a collection again and again at random moments, then let it finish; returns what was seen.

    After every kill: each line of the file but the last is whole, no answer that is in the file is asked again, and
    the answers that the server had sent whole and the file lacks are no more than were under way.
    """
    rng = random.Random(seed)
    concurrency = 6
    prompts(folder, count)
    faults = ["500", "429 retry-after:0", "drop", "drop-mid-body", "broken-json", "empty"]
    lock = threading.Lock()

    def script(call: Call) -> str:
        with lock:
            fault = rng.random() < 0.15
            size = rng.choice([10, 500, 200_000])
            return f"delay:{rng.uniform(0.0, 0.06):.3f} " + (rng.choice(faults) if fault else f"fill:{size}")

    kills = lost = torn = 0
    with EndpointServer(script) as server:
        command = arguments(server, folder, "--samples", samples, "--concurrency", concurrency, "--retries", 20)
        for number in range(rounds):
            asked_before, completed_before = server.asked(), len(server.completed)
            in_file = {(tag(line), seed_of(line)) for line in whole_lines(folder)}
            process = start(command)
            if number % 5 == 4:
                time.sleep(rng.uniform(0.0, 0.8))  # also while it starts and reads the file
            else:
                server.wait_for_calls(len(server.calls) + rng.randint(1, 2 * count * samples // rounds))
                time.sleep(rng.uniform(0.0, 0.05))
            process.kill()
            end(process)
            while server.under_way:  # the server's threads finish with the dead client
                time.sleep(0.005)
            kills += process.returncode == -signal.SIGKILL
            after = whole_lines(folder)
            torn += not (folder / "out.jsonl").read_bytes().endswith(b"\n") if after else 0
            asked = server.asked()
            assert not [key for key in in_file if asked[key] != asked_before[key]]
            new = {(tag(line), seed_of(line)) for line in after} - in_file
            sent = server.completed[completed_before:]
            assert new <= set(sent)
            assert len(sent) - len(new) <= concurrency
            lost += len(sent) - len(new)
        in_file = {(tag(line), seed_of(line)) for line in whole_lines(folder)}
        asked_before = server.asked()
        code, _, err = end(start(command))
        assert code == 0, err
        asked = server.asked()
        assert not [key for key in in_file if asked[key] != asked_before[key]]
    got = lines(folder)
    assert sorted((line["prompt"], line["sample"]) for line in got) == sorted(
        (f"What is #{n}?", sample) for n in range(count) for sample in range(samples)
    )
    return {"kills": kills, "lost": lost, "torn": torn, "asked": sum(asked.values())}


def tag(line: dict[str, Any]) -> str:
    return line["prompt"].removeprefix("What is ").removesuffix("?")


def seed_of(line: dict[str, Any]) -> int:
    """The seed that was sent: made from the identity, see `Plan.requests`."""
    return int(line["id"][:8], 16) & 0x7FFFFFFF


def test_killed_at_random_moments_nothing_is_asked_twice_and_nothing_is_lost(tmp_path) -> None:
    seen = kill_and_resume(tmp_path, rounds=5, seed=0, count=60, samples=2)
    assert seen["kills"] >= 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
def test_killed_thirty_times(tmp_path, seed: int) -> None:
    seen = kill_and_resume(tmp_path, rounds=30, seed=seed, count=200, samples=2)
    print(f"seed {seed}: {seen}")  # docs/collect.md quotes these numbers
    assert seen["kills"] >= 25


def test_answers_do_not_pile_up_in_memory(tmp_path) -> None:
    def peak_mib(name: str, count: int) -> float:
        folder = tmp_path / name
        folder.mkdir()
        prompts(folder, count)
        with EndpointServer(lambda call: "fill:200000") as server:
            process = start(arguments(server, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            watched = psutil.Process(process.pid)
            peak = 0
            while process.poll() is None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    peak = max(peak, watched.memory_info().rss)
                time.sleep(0.01)
        assert process.returncode == 0
        assert len(lines(folder)) == count
        return peak / 2**20

    assert peak_mib("many", 350) - peak_mib("few", 50) < 25  # 60 MB of answers lie between them


def test_a_terminal_sees_a_bar_with_a_rate(tmp_path) -> None:
    prompts(tmp_path, 20)
    master, terminal = pty.openpty()
    with EndpointServer(lambda call: "delay:0.15") as server:
        process = start(arguments(server, tmp_path, "--concurrency", 4), stderr=terminal, env={"TERM": "xterm"})
        os.close(terminal)
        shown = read_all(master)
        assert end(process)[0] == 0
    assert "collect r1" in shown
    assert "/20" in shown
    assert "tokens/s" in shown
    assert "left" in shown


def read_all(descriptor: int) -> str:
    pieces = []
    # A pseudo-terminal whose other end is closed gives an error instead of an end of file.
    while True:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(descriptor)
    return b"".join(pieces).decode(errors="replace")


def test_a_world_and_raw_completions_can_be_asked(oger, tmp_path) -> None:
    with EndpointServer() as server:
        more = ("--prompts", "world:arithmetic/test", "--limit", 3, "--completions")
        result = oger(*arguments(server, tmp_path, *more))
    assert result.code == 0, result.err
    assert {call.path for call in server.calls} == {"/v1/completions"}
    assert {line["kind"] for line in lines(tmp_path)} == {"reasoning_gym"}
    assert all(json.loads(line["metadata"])["answer"] == line["answer"] for line in lines(tmp_path))
