"""Every command says something before it loads what takes seconds to load.

No clock: in a process of its own, each command runs until its first output or its first heavy import, whichever comes
first.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oger.cli.main import app
from tests.support.planted import plain_row, write_jsonl
from tests.support.run_folders import make_run

PROGRAM = """
import json, sys

class Said(BaseException):
    pass

class Heavy(BaseException):
    pass

class Terminal:
    encoding, errors = "utf-8", "strict"
    def isatty(self): return True
    def flush(self): pass
    def fileno(self): raise OSError
    def write(self, text):
        if text.strip():
            raise Said(text.strip())
        return len(text)

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name in HEAVY:
            raise Heavy(name)

HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "pandas", "scipy", "sympy", "sklearn", "matplotlib"}
sys.meta_path.insert(0, Finder())
from oger.cli.main import main
before = sys.stdout, sys.stderr
found = {}
for arguments in json.loads(sys.argv[1]):
    sys.stdout = sys.stderr = Terminal()
    try:
        main(arguments)
        what = "nothing"
    except Said as said:
        what = "said"
    except Heavy as heavy:
        what = f"loads {heavy}"
    except SystemExit as left:
        what = f"left with {left.code}"
    sys.stdout, sys.stderr = before
    found[" ".join(arguments[:2])] = what
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("first")
    run = make_run(folder / "run")
    write_jsonl(folder / "rows.jsonl", [plain_row("1+1=", "2", "so 2")])
    study = Path(__file__).parents[2] / "studies" / "numbers.yaml"
    commands = [
        ["quickstart"], ["train", "smoke"], ["preview", "smoke"], ["inspect", "world:arithmetic/train"],
        ["evaluate", str(run)], ["compare", str(study), "--tables", "--out", str(folder / "none")],
        ["sample", str(run), "1+1="], ["merge", str(run)], ["methods"], ["report", str(run)], ["doctor"], ["version"],
        ["plan", "quickstart"], ["recipes", "list"], ["recipes", "keys"], ["recipes", "schema"],
        ["recipes", "copy", "smoke", str(folder / "mine.yaml")],
        ["teachers", "show", str(folder)], ["teachers", "validate", str(folder)],
        ["teachers", "export", str(folder), str(folder / "out.jsonl")],
        ["teachers", "curate", f"a=plain:{folder / 'rows.jsonl'}", "--tokenizer", "words", "--out", str(folder / "c")],
        ["teachers", "collect", "nowhere.yaml"],
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_no_command_loads_what_takes_seconds_before_its_first_output(found: dict[str, str]) -> None:
    assert {command: what for command, what in found.items() if what != "said"} == {}


def test_every_command_was_tried(found: dict[str, str]) -> None:
    names = {command.name for command in app.registered_commands}
    assert names <= {command.split()[0] for command in found}
