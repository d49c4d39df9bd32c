"""`oger evaluate --benchmarks`: stored, resumed after SIGKILL, graded again, compared."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from oger.worlds import load_world
from tests.support.command import save_policy
from tests.support.endpoint_server import EndpointServer


def rows_file(path: Path, count: int, *, sevens: int | None = None) -> Path:
    """Problems #0, #1, ...; the first `sevens` have the answer 7, which is what the test server always says."""
    rows = [
        {"id": f"q{n}", "prompt": f"{n}+1=? #{n}", "answer": "7" if sevens is None or n < sevens else "8"}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def table(folder: Path) -> list[dict]:
    return pq.read_table(folder / "responses.parquet").to_pylist()


def texts(folder: Path) -> dict[tuple[str, int], str]:
    return {(row["problem"], row["sample"]): row["text"] for row in table(folder)}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return rows_file(tmp_path / "mine.jsonl", 6, sevens=3)


def remote(server: EndpointServer, rows: Path, out: Path, *more: object) -> tuple[object, ...]:
    return ("evaluate", "m", "--endpoint", server.url, "--benchmarks", rows, "--out", out, "--samples", 2, *more)


def test_checkpoints_of_a_run_stand_in_one_table_with_the_split_that_chose_the_best(oger, run_folder, rows, tmp_path):
    best = run_folder / "best" / "validation.json"
    best.write_text(json.dumps({"step": 75, "eval/outcome": 0.25}))
    targets = (run_folder, f"{run_folder}@best", f"{run_folder}@2")
    result = oger(
        "evaluate", *targets, "--benchmarks", rows, "--samples", 2, "--max-tokens", 8, "--out", tmp_path / "ev"
    )
    best.unlink()
    assert result.code == 0, result.err
    assert all(str(target) in result.out for target in targets)
    assert "@best: step 75, chosen as the best on" in result.out
    assert "@2: step 2" in result.out
    assert f"minus {run_folder}" in result.out
    found = {row["text"] for folder in (tmp_path / "ev").glob("*/mine") for row in table(folder)}
    assert len(found) > 3
    numbers = json.loads((tmp_path / "ev" / "comparison.json").read_text())
    assert set(numbers["mean"]) == set(map(str, targets))


def test_known_answers_give_known_numbers_and_nothing_is_asked_twice(oger, rows, tmp_path) -> None:
    with EndpointServer() as server:
        first = oger(*remote(server, rows, tmp_path / "ev"))
        assert first.code == 0, first.err
        assert oger(*remote(server, rows, tmp_path / "ev")).out == first.out
        assert len(server.calls) == 12
        assert oger(*remote(server, rows, tmp_path / "ev", "--samples", 3)).code == 0
        assert len(server.calls) == 18
        assert set(server.asked().values()) == {1}
    assert "50.0 [" in first.out
    summary = json.loads((tmp_path / "ev/m/mine/summary.json").read_text())
    assert (summary["avg@3"], summary["pass@k"]["3"], summary["maj@k"]["3"]) == (0.5, 0.5, 0.5)
    assert summary["length"] == 23
    assert not (tmp_path / "ev/m/mine/responses.jsonl").exists()


def test_a_limit_is_widened_without_asking_again(oger, rows, tmp_path) -> None:
    with EndpointServer() as server:
        assert oger(*remote(server, rows, tmp_path / "ev", "--limit", 2)).code == 0
        assert len(server.calls) == 4
        assert oger(*remote(server, rows, tmp_path / "ev")).code == 0
        assert oger(*remote(server, rows, tmp_path / "ev", "--limit", 2)).code == 0
        assert len(server.calls) == 12
    assert len(table(tmp_path / "ev/m/mine")) == 12  # the narrow run keeps what it does not need
    assert json.loads((tmp_path / "ev/m/mine/summary.json").read_text())["problems"] == 2


def test_a_dry_run_says_what_would_be_drawn_and_writes_nothing(oger, rows, run_folder, tmp_path) -> None:
    with EndpointServer() as server:
        result = oger(*remote(server, rows, tmp_path / "ev", "--dry-run"))
        assert (result.code, server.calls) == (0, [])
    assert "6 problems x 2 samples, 12 responses to draw, 0 stored" in result.out
    assert "0+1=? #0" in result.out
    assert "text prompts" in result.out, "a file's own prompts are asked as they stand"
    assert not (tmp_path / "ev").exists()


def test_an_adapter_is_refused_by_vllm_in_one_line(oger, rows, tmp_path) -> None:
    policy = load_world("arithmetic").base_policy()
    shutil.copytree(policy, tmp_path / "lora")
    (tmp_path / "lora" / "model.safetensors").unlink()
    (tmp_path / "lora" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(policy)}))
    arguments = (tmp_path / "lora", "--backend", "vllm", "--benchmarks", rows, "--out", tmp_path / "ev")
    result = oger("evaluate", *arguments)
    assert result.code == 2
    assert "is an adapter: oger merge" in result.err


def test_the_body_of_requests_is_the_users_and_stored_with_the_settings(oger, rows, tmp_path) -> None:
    body = '{"chat_template_kwargs": {"enable_thinking": false}, "max_tokens": null, "max_completion_tokens": 64}'
    with EndpointServer() as server:
        assert oger(*remote(server, rows, tmp_path / "ev", "--body", body)).code == 0
        for call in server.calls:
            assert call.body["chat_template_kwargs"] == {"enable_thinking": False}
            assert call.body["max_completion_tokens"] == 64
            assert "max_tokens" not in call.body
            assert "temperature" in call.body
        other = oger(*remote(server, rows, tmp_path / "ev", "--body", "{}"))
        assert other.code == 2
        assert "body" in other.err
        broken = oger(*remote(server, rows, tmp_path / "ev2", "--body", "{max_tokens: }"))
        assert broken.code == 2
        assert broken.err.count("\n") == 1


def test_a_field_that_the_server_refuses_is_left_out_once_and_said(oger, rows, tmp_path) -> None:
    with EndpointServer(lambda call: "refuse:temperature") as server:
        result = oger(*remote(server, rows, tmp_path / "ev", "--concurrency", 1))
    assert result.code == 0, result.err
    assert ["temperature" in call.body for call in server.calls] == [True, *[False] * 12]
    assert (result.out + result.err).count("the server does not take temperature") == 1


def test_a_server_that_gives_no_finish_reason_is_named(oger, rows, tmp_path) -> None:
    with EndpointServer(lambda call: "no-finish") as server:
        result = oger(*remote(server, rows, tmp_path / "ev"))
    assert result.code == 0, result.err
    assert "12 of 12 responses did not end by themselves (no finish reason 12) and count as wrong" in result.out


def test_failed_requests_are_asked_again_by_the_next_run(oger, rows, tmp_path) -> None:
    with EndpointServer(lambda call: "400" if call.key[0] == "#4" and call.number == 1 else "") as server:
        first = oger(*remote(server, rows, tmp_path / "ev"))
        assert first.code == 2
        assert "2 requests failed" in first.err
        second = oger(*remote(server, rows, tmp_path / "ev"))
        assert second.code == 0, second.err
        assert sorted(server.asked().values()) == [1] * 10 + [2] * 2


def test_other_settings_weights_or_prompts_are_refused_before_anything_is_drawn(oger, rows, tmp_path) -> None:
    model = tmp_path / "model"
    save_policy(model, 0)
    asked = ("evaluate", model, "--benchmarks", rows, "--samples", 1, "--max-tokens", 4, "--out", tmp_path / "ev")
    assert oger(*asked).code == 0
    result = oger(*asked, "--temperature", 0.5)
    assert result.code == 2
    assert "drawn with temperature 1.0, now it is 0.5" in result.err
    rows.write_text(rows.read_text().replace("2+1", "3+1"))
    result = oger(*asked)
    assert "another prompt of problem q2" in result.err
    assert "drawing" not in result.err
    rows.write_text(rows.read_text().replace("3+1=? #2", "2+1=? #2"))
    shutil.rmtree(model)
    save_policy(model, 1)
    assert "drawn with policy" in oger(*asked).err


def test_other_rules_grade_stored_responses_again(oger, rows, tmp_path) -> None:
    with EndpointServer() as server:
        assert "50.0 [" in oger(*remote(server, rows, tmp_path / "ev")).out
        other = oger(*remote(server, rows, tmp_path / "ev", "--rules", "answer_phrase"))
        assert len(server.calls) == 12
    assert "0.0 [0.0, 0.0]" in other.out


def test_regrading_prints_the_verdicts_that_changed_and_draws_nothing(oger, rows, tmp_path) -> None:
    with EndpointServer() as server:
        assert oger(*remote(server, rows, tmp_path / "ev")).code == 0
    before = table(tmp_path / "ev/m/mine")
    result = oger("evaluate", "--regrade", tmp_path / "ev", "--rules", "whole")
    assert result.code == 0, result.err
    assert "12 responses, 6 verdicts changed, correct 6 -> 0" in result.out
    assert "q0 sample 0: correct -> wrong" in result.out
    assert json.loads((tmp_path / "ev/m/mine/summary.json").read_text())["avg@2"] == 0.0
    unchanged = oger("evaluate", "--regrade", tmp_path / "ev")
    assert "0 verdicts changed" in unchanged.out
    back = oger("evaluate", "--regrade", tmp_path / "ev", "--rules", "last_boxed")
    assert "6 verdicts changed, correct 0 -> 6" in back.out
    assert table(tmp_path / "ev/m/mine") == before


def leveled(path: Path) -> Path:
    """As `rows_file` with three sevens of six; the level is a column, the topic lies in the metadata."""
    rows = [json.loads(line) for line in rows_file(path, 6, sevens=3).read_text().splitlines()]
    for n, row in enumerate(rows):
        row |= {"level": n % 2, "metadata": {"topic": "sums" if n < 2 else "gcd"}}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_accuracy_is_broken_down_by_columns_and_by_keys_of_the_metadata(oger, tmp_path) -> None:
    rows = leveled(tmp_path / "mine.jsonl")
    with EndpointServer() as server:
        result = oger(*remote(server, rows, tmp_path / "ev", "--by", "level,topic"))
    assert result.code == 0, result.err
    lines = {line.split(")")[0]: line for line in result.out.splitlines()}
    assert "66.7 [" in lines["0 (3"]
    assert "33.3 [" in lines["1 (3"]
    assert "100.0 [" in lines["sums (2"]
    numbers = json.loads((tmp_path / "ev/comparison.json").read_text())["by"]["mine"]
    assert numbers["topic"]["mean"]["m"]["gcd"]["value"] == 0.25
    of_all = json.loads((tmp_path / "ev/m/mine/summary.json").read_text())
    assert {value: entry["problems"] for value, entry in of_all["by"]["topic"].items()} == {"gcd": 4, "sums": 2}
    assert oger("evaluate", "--regrade", tmp_path / "ev").code == 0
    assert json.loads((tmp_path / "ev/m/mine/summary.json").read_text())["by"] == of_all["by"]


def test_a_verifier_that_cannot_work_is_found_before_anything_is_drawn(oger, tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text(
        f"source: {leveled(tmp_path / 'rows.jsonl')}\n"
        "columns: {problem: prompt, answer: answer}\n"
        "kind: tests.support.evaluation_makers:never\n"
    )
    with EndpointServer() as server:
        result = oger(*remote(server, tmp_path / "mine.yaml", tmp_path / "ev"))
        assert (result.code, server.calls) == (2, [])
    assert "the verifier does not work, so nothing may start" in result.err
    assert not (tmp_path / "ev").exists()


@pytest.mark.soak
def test_two_processes_store_what_one_stores(oger, tmp_path) -> None:
    save_policy(tmp_path / "model", 0)
    rows = rows_file(tmp_path / "mine.jsonl", 10)
    asked = ("evaluate", tmp_path / "model", "--benchmarks", rows, "--samples", 2, "--max-tokens", 8, "--batch-size", 3)
    for out, more in (("one", ()), ("two", ("--processes", 2))):
        result = oger(*asked, "--out", tmp_path / out, *more)
        assert result.code == 0, result.err
    [one], [two] = ((tmp_path / out).glob("*/mine") for out in ("one", "two"))
    assert texts(one) == texts(two)
    assert "drawing 0 of 20" in oger(*asked, "--out", tmp_path / "two").err


def test_continuous_batching_is_a_backend_whose_responses_are_kept_apart(oger, tmp_path) -> None:
    save_policy(tmp_path / "model", 0)
    rows = rows_file(tmp_path / "mine.jsonl", 4)
    asked = ("evaluate", tmp_path / "model", "--benchmarks", rows, "--samples", 1, "--temperature", 0)
    for backend in ("transformers", "continuous"):
        result = oger(*asked, "--max-tokens", 8, "--backend", backend, "--out", tmp_path / backend)
        assert result.code == 0, result.err
    [plain], [continuous] = ((tmp_path / out).glob("*/mine") for out in ("transformers", "continuous"))
    assert texts(plain) == texts(continuous)
    assert "'continuous'" in oger(*asked, "--max-tokens", 8, "--out", tmp_path / "continuous").err


@pytest.mark.soak
def test_a_hub_model_is_stored_with_its_commit(rows, tmp_path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "cache" / "models--someone--tiny"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    save_policy(cached / "snapshots" / commit, 0)
    environment = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "cache")}
    asked = ("evaluate", "someone/tiny", "--benchmarks", rows, "--samples", 1, "--max-tokens", 4)
    process = start(*asked, "--out", tmp_path / "ev", **environment)
    error = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, error
    settings = json.loads((tmp_path / "ev/someone-tiny/mine/settings.json").read_text())
    assert settings["policy"]["weights"] == f"someone/tiny@{commit}"


def test_runs_of_several_seeds_are_one_system(oger, run_folder, rows, tmp_path) -> None:
    target = f"tiny={run_folder}@2,{run_folder}@10"
    options = ("--samples", 2, "--max-tokens", 4, "--out", tmp_path / "ev", "--format", "markdown")
    result = oger("evaluate", target, run_folder, "--benchmarks", rows, *options, "--reference", run_folder)
    assert result.code == 0, result.err
    assert "| tiny |" in result.out
    assert "training seeds" in result.out
    assert f"| minus {run_folder}, points |" in result.out
    assert len(list((tmp_path / "ev").glob("*/mine/responses.parquet"))) == 3


def test_benchmarks_come_from_a_folder_and_options_are_shuffled(oger, run_folder, tmp_path) -> None:
    row = {"id": "a", "question": "?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answerKey": "A"}
    (tmp_path / "arc_challenge.jsonl").write_text(json.dumps(row) + "\n")
    options = ("--data-dir", tmp_path, "--max-tokens", 4, "--prompt-style", "text", "--out", tmp_path / "ev")
    result = oger("evaluate", run_folder / "best", "--benchmarks", "arc_challenge", *options)
    assert result.code == 0, result.err
    assert "arc_challenge: 1 problems, 1172 expected" in result.out
    [folder] = (tmp_path / "ev").glob("*/arc_challenge")
    assert sorted(json.loads(table(folder)[0]["metadata"])["order"]) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--top-p", "0.9"), "--top-p needs --benchmarks"),
        (("--format", "latex"), "--format needs --benchmarks"),
        (("--benchmarks", "math50"), "did you mean 'math500'"),
        (("--benchmarks", "{rows}", "--reference", "b"), "--reference b is none of"),
        (("--benchmarks", "{rows}", "--concurrency", "2"), "--concurrency needs --endpoint"),
        (("--benchmarks", "{rows}", "--data", "{rows}"), "--data cannot go with --benchmarks"),
        (("--benchmarks", "{rows}", "--backend", "vlm"), "did you mean 'vllm'"),
        (("--benchmarks", "{rows}", "--by", "answr"), "unknown column for --by 'answr'; did you mean 'answer'"),
        (("--benchmarks", "{rows}", "--processes", "2", "--backend", "vllm"), "--processes has no effect with"),
        (("--processes", "2"), "--processes needs --benchmarks"),
        (("--benchmarks", "{rows}", "--columns", "prompt"), "FIELD=COLUMN"),
        (("--benchmarks", "{rows}", "--rules", "boxed"), "answer rule"),
        (("--benchmarks", "{rows}", "--top-p", "0"), "top_p must lie in (0, 1]"),
        (("--regrade", "x"), "RUN_OR_MODEL has no effect with --regrade"),
        (("--benchmarks", "{rows}", "--endpoint", "http://h/v1", "--api-key-env", "NO_SUCH"), "NO_SUCH is not set"),
    ],
)
def test_what_cannot_be_is_one_line(oger, run_folder, rows, tmp_path, arguments, message) -> None:
    arguments = tuple(argument.replace("{rows}", str(rows)) for argument in arguments)
    result = oger("evaluate", run_folder, *arguments, *(() if "--regrade" in arguments else ("--out", tmp_path / "ev")))
    assert result.code == 2
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1
    assert not (tmp_path / "ev").exists()


def start(*arguments: object, **variables: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "oger.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_lines(process: subprocess.Popen[bytes], path: Path, count: int) -> None:
    end = time.monotonic() + 120
    while not path.is_file() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("torn", [0, 9])
def test_a_killed_evaluation_goes_on_as_if_it_had_never_stopped(oger, tmp_path, torn: int) -> None:
    save_policy(tmp_path / "model", 0)
    rows = rows_file(tmp_path / "mine.jsonl", 30)
    asked = (
        "evaluate",
        tmp_path / "model",
        "--benchmarks",
        rows,
        "--samples",
        4,
        "--max-tokens",
        40,
        "--batch-size",
        3,
    )
    process = start(*asked, "--out", tmp_path / "killed")
    folder = tmp_path / "killed" / str(tmp_path / "model").strip("/").replace("/", "-") / "mine"
    wait_for_lines(process, folder / "responses.jsonl", 6)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stored = (folder / "responses.jsonl").read_bytes().splitlines(keepends=True)
    assert 6 <= len(stored) < 120
    (folder / "responses.jsonl").write_bytes(b"".join(stored[:4]) + stored[4][:torn])  # within a batch, as a kill may
    result = oger(*asked, "--out", tmp_path / "killed")
    assert result.code == 0, result.err
    assert "drawing 116 of 120" in result.err
    assert oger(*asked, "--out", tmp_path / "whole").code == 0
    [whole] = (tmp_path / "whole").glob("*/mine")
    assert texts(folder) == texts(whole)


def test_ctrl_c_ends_an_evaluation_at_once_and_in_one_line(tmp_path) -> None:
    rows = rows_file(tmp_path / "mine.jsonl", 200)
    with EndpointServer(lambda call: "delay:0.05") as server:
        process = start(*remote(server, rows, tmp_path / "ev", "--concurrency", 8))
        wait_for_lines(process, tmp_path / "ev/m/mine/responses.jsonl", 20)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=30)[1].decode()
        assert (process.returncode, error.splitlines()[2:]) == (130, ["interrupted"])  # after golds, and how many
        assert len(server.calls) < 200


def test_a_killed_evaluation_at_an_endpoint_asks_nothing_again_that_was_stored(oger, tmp_path) -> None:
    rows = rows_file(tmp_path / "mine.jsonl", 40)
    with EndpointServer(lambda call: "delay:0.02") as server:
        process = start(*remote(server, rows, tmp_path / "ev", "--concurrency", 4))
        lines = tmp_path / "ev/m/mine/responses.jsonl"
        wait_for_lines(process, lines, 10)
        process.send_signal(signal.SIGKILL)
        process.wait()
        stored = {(line["problem"], line["sample"]) for line in map(json.loads, lines.read_bytes().splitlines())}
        assert len(stored) < 80
        asked_before = len(server.calls)
        result = oger(*remote(server, rows, tmp_path / "ev", "--concurrency", 4))
        assert result.code == 0, result.err
        assert len(server.calls) - asked_before == 80 - len(stored)
    assert len(table(tmp_path / "ev/m/mine")) == 80
