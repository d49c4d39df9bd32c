"""What is refused before any work: outputs that cannot be made, numbers that are none; one line, exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oger.cli.main import main
from tests.support.run_folders import make_run

COMMANDS = {
    "report": ("report", "RUN", "-o"),
    "curate": ("teachers", "curate", "--source", "a=plain:rows.jsonl", "--tokenizer", "words", "--out"),
    "export": ("teachers", "export", "table.parquet", "--to", "trl", "--out"),
    "evaluate": ("evaluate", "RUN", "--out"),
    "benchmarks": ("evaluate", "RUN", "--benchmarks", "math", "--out"),
    "collect": ("teachers", "collect", "--prompts", "world:arithmetic/train", "--endpoint", "http://127.0.0.1:9/v1",
                "--model", "m", "--out"),
    "merge": ("merge", "RUN", "--out"),
}  # fmt: skip


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_below_a_file_is_refused_before_any_work(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path / "run", steps=1)
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "below" / ("x.jsonl" if name == "collect" else "x")
    line = refused([str(run) if word == "RUN" else word for word in COMMANDS[name]] + [str(out)], capsys)
    assert line.startswith("error: ")
    assert "cannot be made" in line
    assert (tmp_path / "file").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "file"}, "nothing is left"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "run", steps=1)
    (tmp_path / "closed").mkdir(mode=0o500)
    line = refused(["report", str(run), "-o", str(tmp_path / "closed" / "report.html")], capsys)
    assert "may not be written into" in line


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("sample", "RUN", "1 + 1?", "--temperature"),
        ("evaluate", "RUN", "--top-p"),
        ("compare", "study.yaml", "--limit-hours"),
        ("plan", "quickstart", "--mfu"),
        ("teachers", "curate", "--source", "a=plain:x", "--tokenizer", "words", "--out", "o", "--timeout"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_numbers_that_are_not_finite_are_refused(
    arguments: tuple[str, ...], value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused([*arguments[:-1], f"{arguments[-1]}={value}"], capsys)
    assert "finite" in line or "Input should be" in line


def test_a_wrong_path_of_data_is_said_before_torch_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom oger.cli.main import main\n"
        "try:\n    main(['train', 'smoke', 'train=nowhere.jsonl'])\n"
        "finally:\n    print('torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "nowhere.jsonl" in done.stderr
    assert done.stdout.strip() == "False"


def test_data_without_prompts_is_said_before_torch_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n')
    line = refused(["train", "smoke", f"train={tmp_path / 'rows.jsonl'}"], capsys)
    assert "has no column 'prompt'; it has answer, question" in line


WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from oger.cli.main import main; main(sys.argv[1:])"


@pytest.mark.parametrize("command", [("train",), ("preview",), ("doctor", "--data"), ("plan",)])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("runs/typo", "the folder runs/typo does not exist, no such run or model; did you mean runs/type?"),
        ("./nowhere", "the folder ./nowhere does not exist"),
        ("runs/type@7", "no checkpoint of step 7"),
    ],
)
def test_a_model_that_is_not_there_is_refused_before_torch_is_loaded(
    tmp_path: Path, command: tuple[str, ...], model: str, said: str
) -> None:
    make_run(tmp_path / "runs" / "type", steps=1)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command, "smoke", f"model={model}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    [line] = done.stderr.splitlines()
    assert said in line
