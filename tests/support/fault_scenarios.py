"""Commands for the fault harness: what each is given, how a user goes on with it, and what it must end in."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors.numpy import load_file

from oger.runs.rollouts import read_rollouts
from tests.support.endpoint_server import EndpointServer
from tests.support.file_faults import Ended, FaultServer
from tests.support.planted import good_text, plain_row, prompt_of, write_jsonl

_CLOCKS = ("seconds", "date", "wall_seconds", "parts", "train_seconds", "attempts", "command", "settings", "commit")
_ARGUMENTS = ["max_steps=2", "save_steps=1", "steps_per_generation=2", "per_device_train_batch_size=4", "test=null",
              "validation=null", "probe_prompts=0", "max_completion_length=16"]  # fmt: skip
_REWARD = "def seven(completions, **_):\n    return [float('7' in completion) for completion in completions]\n"


@dataclass(frozen=True)
class Scenario:
    """One command; everything that it reads and writes lies below one folder, `root`, whose path is always the same."""

    prepare: Callable[[Path], None]
    """Fills the folder."""
    command: Callable[[Path], list[Any]]
    again: Callable[[Path], list[Any]]
    """What a user calls after `command` was cut off."""
    result: Callable[[Path], Any]
    """What the command has made, without what depends on the clock."""


# --- train and resume -------------------------------------------------------------------------------------------------


def _prepare_train(root: Path) -> None:
    rows = [{"prompt": f"{n}+1=?\n", "answer": str(n + 1), "teachers": [f"\\boxed{{{n + 1}}}\n"]} for n in range(8)]
    write_jsonl(root / "train.jsonl", rows)
    (root / "reward.py").write_text(_REWARD)


def _train(root: Path) -> list[Any]:
    given = [f"train={root / 'train.jsonl'}", f"rewards=[{root / 'reward.py'}:seven]", f"output_dir={root / 'run'}"]
    return ["train", "smoke", *_ARGUMENTS, *given]


def _train_again(root: Path) -> list[Any]:
    if (root / "run" / "summary.json").is_file():
        return ["version"]
    return [*_train(root), *(["--resume"] if (root / "run" / "config.yaml").is_file() else [])]


def _trained(root: Path) -> Any:
    from tests.support.run_folders import comparable

    run = root / "run"
    weights = load_file(run / "model" / "model.safetensors")
    names = sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.name != "lock")
    return (names, comparable(run), read_rollouts(run).to_pylist(), {n: w.tobytes() for n, w in weights.items()})


def _begun(server: FaultServer) -> Callable[[Path], None]:
    """Makes folders of a run that was killed after its first checkpoint."""
    made: list[Path] = []

    def prepare(root: Path) -> None:
        _prepare_train(root)
        if not made:
            count = server.run(_train(root), root).operations
            shutil.rmtree(root / "run")
            at = count // 2
            while not (root / "run" / "checkpoints" / "checkpoint-1").is_dir():
                at += 5
                shutil.rmtree(root / "run", ignore_errors=True)
                assert server.run(_train(root), root, at=at).was_killed
            kept = root.with_name("begun")
            assert not kept.exists()
            shutil.copytree(root / "run", kept)
            made.append(kept)
        else:
            shutil.copytree(made[0], root / "run")

    return prepare


# --- teachers ---------------------------------------------------------------------------------------------------------


def _prepare_curate(root: Path) -> None:
    rows = [plain_row(prompt_of(n), str(2 * n + 1), good_text(n, style), style) for n in range(6) for style in "ab"]
    write_jsonl(root / "rows.jsonl", [*rows, "{broken", plain_row("?", None, "no gold")])


def _curate(root: Path) -> list[Any]:
    source = f"mine=plain:{root / 'rows.jsonl'}"
    given = ["--tokenizer", "words", "--workers", 1, "--kind", "exact"]
    return ["teachers", "curate", "--source", source, "--out", root / "table", *given]


def _curated(root: Path) -> Any:
    table = root / "table"
    card = json.loads((table / "card.json").read_text())
    files = {path.name: path.read_bytes() for path in table.iterdir() if path.suffix in (".parquet", ".jsonl")}
    return files, card


def _collect(url: str) -> Callable[[Path], list[Any]]:
    def command(root: Path) -> list[Any]:
        first = ["teachers", "collect", "--prompts", root / "prompts.jsonl", "--out", root / "answers.jsonl"]
        return [*first, "--endpoint", url, "--model", "m", "--retries", 0, "--concurrency", 2]

    return command


def _prepare_collect(root: Path) -> None:
    write_jsonl(root / "prompts.jsonl", [{"prompt": f"What is #{n}?", "answer": "7"} for n in range(4)])


def _collected(root: Path) -> Any:
    lines = [json.loads(line) for line in (root / "answers.jsonl").read_text().splitlines()]
    answers = sorted(
        ({k: v for k, v in line.items() if k not in _CLOCKS} for line in lines), key=lambda line: line["id"]
    )
    return answers, sorted(path.name for path in root.iterdir())


# --- evaluate, compare, report ----------------------------------------------------------------------------------------


def _prepare_evaluate(root: Path) -> None:
    rows = [{"id": f"q{n}", "prompt": f"{n}+1=?", "answer": str(n + 1), "kind": "exact"} for n in range(3)]
    write_jsonl(root / "mine.jsonl", rows)
    from tests.support.command import save_policy

    save_policy(root / "policy", 0)


def _evaluate(root: Path) -> list[Any]:
    return ["evaluate", root / "policy", "--benchmarks", root / "mine.jsonl", "--samples", 2, "--max-tokens", 6,
            "--batch-size", 2, "--out", root / "ev"]  # fmt: skip


def _evaluate_own(root: Path) -> list[Any]:
    return ["evaluate", root / "policy", "--data", root / "mine.jsonl", "--samples", 2, "--max-tokens", 6,
            "--out", root / "own.json"]  # fmt: skip


def _evaluated(root: Path) -> Any:
    # Of comparison.json, which nobody locks, a kill may leave a hidden file.
    files = sorted(path for path in (root / "ev").rglob("*") if path.is_file())
    files = [path for path in files if path.parent.name != "ev" or not path.name.startswith(".")]
    return {path.relative_to(root).as_posix(): _content(path, root) for path in files}


def _content(path: Path, root: Path) -> Any:
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
        return [{key: row[key] for key in row if key not in _CLOCKS} for row in rows]
    return path.read_text().replace(str(root), "ROOT")


def _prepare_compare(root: Path) -> None:
    from tests.support import tiny_study

    tiny_study.write_data(root)
    train, validation, test = paths = [root / f"{split}.jsonl" for split in ("train", "validation", "test")]
    for path in paths:  # answers that are compared in place: no cell waits for processes that verify
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write_jsonl(path, [{**row, "kind": "exact", "metadata": None} for row in rows])
    regimes = {"easy": {"train": str(train), "validation": str(validation), "test": {"id": str(test)}}}
    tiny_study.write_study(root, regimes=regimes, methods={"grpo": {}}, budget={"steps": 1})


def _compare(root: Path) -> list[Any]:
    return ["compare", root / "study.yaml", "--out", root / "out", "--workers", 1]


def _compared(root: Path) -> Any:
    results = root / "out" / "results"
    curves = [{k: v for k, v in row.items() if k != "seconds"} for row in _content(results / "curves.parquet", root)]
    return _content(results / "results.parquet", root), _content(results / "outcomes.parquet", root), curves


def _prepare_report(root: Path) -> None:
    from tests.support.run_folders import make_run

    make_run(root / "run", steps=3, probes=2)


def _report(root: Path) -> list[Any]:
    return ["report", root / "run", "--out", root / "page" / "report.html", "--force"]


def _reported(root: Path) -> Any:
    return re.sub(r'"made":"[^"]*"', "", (root / "page" / "report.html").read_text())


def scenarios(server: FaultServer, endpoint: EndpointServer) -> dict[str, Scenario]:
    """Every command of the harness by its name."""
    collect = _collect(endpoint.url)

    def curate_again(root: Path) -> list[Any]:
        return ["version"] if (root / "table").exists() else [*_curate(root), "--resume"]

    def own_again(root: Path) -> list[Any]:
        return ["version"] if (root / "own.json").exists() else _evaluate_own(root)

    return {
        "train": Scenario(_prepare_train, _train, _train_again, _trained),
        "resume": Scenario(_begun(server), _train_again, _train_again, _trained),
        "curate": Scenario(_prepare_curate, _curate, curate_again, _curated),
        "collect": Scenario(_prepare_collect, collect, collect, _collected),
        "evaluate": Scenario(_prepare_evaluate, _evaluate, _evaluate, _evaluated),
        "evaluate_own": Scenario(
            _prepare_evaluate, _evaluate_own, own_again, lambda root: (root / "own.json").read_text()
        ),
        "compare": Scenario(_prepare_compare, _compare, _compare, _compared),
        "report": Scenario(_prepare_report, _report, _report, _reported),
    }


# --- what must hold ---------------------------------------------------------------------------------------------------


def unreadable(root: Path) -> list[str]:
    """Files below a folder that are half written: no JSON, no table, or under a name that only the writing has."""
    wrong = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.name.endswith(".tmp") or path.name == ".writing":
            wrong.append(f"{name} was left behind")
        elif path.is_file() and not name.startswith("table.work/"):  # of which nothing is read before it is whole
            try:
                _read(path)
            except Exception as error:  # noqa: BLE001 - whatever a reader says
                wrong.append(f"{name}: {error}")
    return wrong


def _read(path: Path) -> None:
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".jsonl" and path.name != "rows.jsonl":
        content = path.read_text()
        assert not content or content.endswith("\n"), "a torn line"
        [json.loads(line) for line in content.splitlines()]
    elif path.suffix == ".parquet":
        pq.read_table(path)
    elif path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")


def assert_refused(ended: Ended) -> None:
    """Exit 2 and a last line that says why, no traceback; or a study's 1, with the last lines of a cell that failed."""
    if "\nfailed: " in ended.output:
        assert ended.status == 1, (ended.where, ended.status, ended.output)
        return
    assert "Traceback" not in ended.output, (ended.where, ended.output)
    assert ended.status == 2, (ended.where, ended.status, ended.output)
    assert ended.output.splitlines()[-1].startswith("error: "), (ended.where, ended.output)
