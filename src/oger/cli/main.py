"""The `oger` command: one small file per command, every heavy import inside the command that needs it."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from oger.cli import (
    compare,
    doctor,
    evaluate,
    inspect,
    merge,
    methods,
    plan,
    preview,
    quickstart,
    recipes,
    report,
    sample,
    teachers,
    train,
    version,
)
from oger.cli.errors import EXIT_INTERRUPTED, EXIT_USER_ERROR, SHOWN_AS_ONE_LINE, debugging
from oger.faults import RunStopped
from oger.io.disk import disk_fault
from oger.io.processes import leave_working_folder
from oger.terminal.errors import one_line
from oger.terminal.plain import say

app = typer.Typer(
    name="oger",
    help="Train reasoning policies with teachers inside the rollout groups and a reward for leaving their paths.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        version.version()
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What stands before any command."""


app.command("quickstart")(quickstart.quickstart)
app.command("train")(train.train)
app.command("preview")(preview.preview)
app.command("inspect")(inspect.inspect)
app.command("evaluate")(evaluate.evaluate)
app.command("methods")(methods.methods)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("sample")(sample.sample)
app.command("merge")(merge.merge)
app.add_typer(teachers.app, name="teachers")
app.add_typer(recipes.app, name="recipes")
app.command("plan")(plan.plan)
app.command("doctor")(doctor.doctor)
app.command("version")(version.version)

_USAGE_ERROR: type[Any] = next(parent for parent in typer.BadParameter.__mro__ if parent.__name__ == "ClickException")
"""What the parser raises. Newer versions of typer bring their own click, so it is found through typer."""

_HOME = re.compile(r"^(--[\w-]+=|)~(?=/|$)")
"""The home folder where no shell has written it out: behind an option's = or in quotes. Values of a recipe's keys are
the recipe's to read."""

_LOAD_TORCH = {
    "quickstart", "train", "preview", "inspect", "evaluate", "compare", "sample", "merge", "doctor", "plan",
    "recipes keys", "recipes schema",
}  # fmt: skip
"""Commands after which a person waits for seconds, until torch and transformers are there."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: 0 done, 2 an error of the user, 130 interrupted, 143 ended by SIGTERM.

    Args:
        arguments: those of this process, which then is the command's own, unless given.
    """
    if arguments is None:
        leave_working_folder()
        gc.set_threshold(10_000)  # most objects of imports stay, and looking for garbage takes long
    arguments = [_HOME.sub(_expanded, argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    arguments = arguments or ["--help"]
    names = [name for name in (arguments[0], " ".join(arguments[:2])) if name in _LOAD_TORCH]
    if names and sys.stderr.isatty() and not {"--help", "-h"} & set(arguments):
        _say(f"oger {names[0]}: loading torch and transformers ...")
    try:
        code = app(arguments, prog_name="oger", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except RunStopped as stopped:
        _say(str(stopped))
        sys.exit(stopped.exit_status)
    except _USAGE_ERROR as error:
        _say(f"error: {' '.join(error.format_message().split())} (oger --help, oger COMMAND --help)")
        code = EXIT_USER_ERROR
    except SHOWN_AS_ONE_LINE as error:
        if debugging():
            raise
        _say(f"error: {one_line(error)}")
        code = EXIT_USER_ERROR
    except Exception as error:
        said = disk_fault(error)
        if said is None or debugging():
            raise
        _say(f"error: {said}")
        code = EXIT_USER_ERROR
    if code == EXIT_INTERRUPTED:
        _say("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def _expanded(found: re.Match[str]) -> str:
    return found[1] + os.path.expanduser("~")


def _say(line: str) -> None:
    with suppress(OSError):  # the disk behind standard output may be what is full
        sys.stdout.flush()
    with suppress(OSError):
        say(line, err=True)


if __name__ == "__main__":
    main()
