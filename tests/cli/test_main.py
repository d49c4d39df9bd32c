"""The frame of the command: fast help, one-line errors, exit codes."""

import os
import subprocess
import sys
import time

import pytest
import typer

import oger as oger_package
from oger.cli import main as frame
from oger.terminal.errors import UserError

COMMANDS = ("train", "preview", "inspect", "teachers", "evaluate", "sample", "recipes", "quickstart", "version")


def test_help_lists_every_command(oger) -> None:
    result = oger("--help")
    assert (result.code, result.err) == (0, "")
    assert all(command in result.out for command in COMMANDS)
    assert oger().out == result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(oger, command: str) -> None:
    result = oger(command, "--help")
    assert result.code == 0
    assert "Usage" in result.out


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from oger.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'trl', 'sklearn', 'numpy', 'datasets', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        seconds.append(time.perf_counter() - started)
        assert done.returncode == 0, done.stderr
    assert min(seconds) < 2.0


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_the_package_run_as_a_command_prints_its_version(asked: str) -> None:
    done = subprocess.run([sys.executable, "-m", "oger", asked], capture_output=True, text=True, check=True)
    assert done.stdout == f"oger {oger_package.__version__}\n"


def test_a_shell_is_told_the_commands() -> None:
    asking = {"_OGER_COMPLETE": "complete_bash", "COMP_WORDS": "oger tr", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "oger"], capture_output=True, text=True, check=False, env={**os.environ, **asking}
    )
    assert done.stdout.split() == ["train"]


def test_a_person_at_a_terminal_reads_something_before_torch_is_there(oger, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(frame, "app", lambda *_, **__: print("torch is there", file=sys.stderr))
    assert oger("train", "smoke").err == "oger train: loading torch and transformers ...\ntorch is there\n"
    assert oger("train", "--help").err == oger("recipes").err == "torch is there\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train"], "Missing argument 'RECIPE'"),
        (["train", "quickstart", "--resum"], "No such option"),
        (["evaluate", "x", "--samples", "0"], "--samples"),
        (["quickstart", "--steps", "many"], "--steps"),
        (["train", "no_such_recipe"], "shipped recipes: "),
        (["train", "smoke", "learning_rat=1"], "did you mean 'learning_rate'"),
        (["preview", "smoke", "eval_samples=0"], "eval_samples must be"),
        (["recipes", "copy", "quickstrat"], "did you mean 'quickstart'"),
        (["evaluate", "no/such/run"], "no run or model at no/such/run"),
        (["sample", "world:arithmetic", " "], "the problem is empty"),
        (["sample", "world:nowhere", "1+1"], "arithmetic"),
    ],
)
def test_an_error_of_the_user_is_one_line_and_exit_code_2(oger, arguments: list[str], message: str) -> None:
    result = oger(*arguments)
    assert result.code == 2
    assert result.err.startswith("error: ")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize("error", [UserError, ValueError, FileNotFoundError, FileExistsError])
def test_what_a_command_raises_for_the_user_is_folded_into_one_line(oger, monkeypatch, error) -> None:
    raising(monkeypatch, error("first\n   second"))
    result = oger("fail")
    assert (result.code, result.err) == (2, "error: first second\n")


def test_with_debugging_on_the_traceback_stays(monkeypatch) -> None:
    raising(monkeypatch, UserError("why"))
    monkeypatch.setenv("OGER_DEBUG", "1")
    with pytest.raises(UserError, match="why"):
        frame.main(["fail"])


def test_a_defect_keeps_its_traceback(monkeypatch) -> None:
    raising(monkeypatch, KeyError("defect"))
    monkeypatch.delenv("OGER_DEBUG", raising=False)
    with pytest.raises(KeyError):
        frame.main(["fail"])


def test_an_interrupt_is_one_line_and_exit_code_130(oger, monkeypatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    result = oger("fail")
    assert result.code == 130
    assert result.err.strip() == "interrupted"


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replace the application by one whose command `fail` raises `error`."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.callback()(lambda: None)

    @app.command("fail")
    def fail() -> None:
        raise error

    monkeypatch.setattr(frame, "app", app)
