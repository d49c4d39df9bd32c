"""What strangers wrote is shown on a terminal, never obeyed by it."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress, TextColumn
from rich.table import Table

import oger as package
from oger.reporting.tables import preview_table, sample_panel, summary_table
from oger.terminal.console import Terminal
from oger.terminal.plain import plain
from tests.support.command import Outcome
from tests.support.planted import good_text, plain_row, prompt_of, run, write_jsonl

HOSTILE = (
    "\x1b]0;taken\x07\x1b]52;c;dGFrZW4=\x07\x1b]8;;http://taken\x1b\\link\x1b]8;;\x1b\\\x1b[2J\x1b[31m\x9b5A\x9d0;t\x9c"
    "\rover\b\b\x7f \u202eesrever\u2066 [bold red]loud[/bold red] [/never] :smile:"
)
_OWN_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(*renderables: Any) -> str:
    """What a terminal with colours would get, without rich's own colours."""
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=400)
    for renderable in renderables:
        console.print(renderable)
    return _OWN_COLOURS.sub("", out.getvalue())


def harmless(text: str) -> bool:
    return not _OBEYED.search(text) and "[bold red]loud[/bold red] [/never] :smile:" in text


def test_plain_keeps_lines_tabs_and_every_script() -> None:
    assert plain("a\tb\nÄ 数学 👩‍👩‍👧 é ✓ العربية") == "a\tb\nÄ 数学 👩‍👩‍👧 é ✓ العربية"
    assert plain("\ud800") == "\ufffd"
    assert harmless(plain(HOSTILE))


def test_tables_panels_and_strings_show_hostile_text_as_it_is() -> None:
    row = {"row": 0, "origin": "teacher", "teacher": HOSTILE, "text": HOSTILE, "prompt": HOSTILE, "num_tokens": 3}
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    for renderable in (
        preview_table([{**row, "truncated": False}], ""),
        sample_panel(HOSTILE, teacher=HOSTILE, before=HOSTILE, after=[HOSTILE]),
        summary_table({HOSTILE: {"pass@1": 0.5}}, title=HOSTILE),
        table,
        HOSTILE,
    ):
        assert harmless(shown(renderable)), type(renderable)


def test_a_bar_keeps_its_own_control_codes_and_loses_those_of_its_title() -> None:
    out = io.StringIO()
    console = Terminal(file=out, force_terminal=True, width=400)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(HOSTILE, total=1)
    assert "\x1b[?25l" in out.getvalue()  # the cursor is hidden while the bar moves
    assert "]0;taken" in out.getvalue()
    assert not re.search("\x1b]|\x07|\x9b|\x1b\\[2J", out.getvalue())


def test_a_table_of_hostile_texts_is_curated_and_shown_without_obeying_them(
    tmp_path: Path, oger: Callable[..., Outcome]
) -> None:
    rows = [{**plain_row(prompt_of(1) + HOSTILE, "3", HOSTILE + good_text(1, "a")), "teacher": HOSTILE}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    run(tmp_path / "table", f"mine=plain:{tmp_path / 'rows.jsonl'}")
    done = oger("teachers", "show", str(tmp_path / "table"))
    assert done.code == 0, done.err
    assert done.out.count("]0;taken") >= 4  # in the card, as the name, in the prompt and in the text
    assert not _OBEYED.search(done.out)


def test_an_error_repeats_hostile_text_without_obeying_it(oger: Callable[..., Outcome]) -> None:
    for arguments in (("train", HOSTILE), ("train", "smoke", f"{HOSTILE}=1"), ("evaluate", "--nothing", HOSTILE)):
        done = oger(*arguments)
        assert done.code == 2
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert not _OBEYED.search(done.err)


def _calls(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            found.append(ast.unparse(node.func))
    return found


@pytest.mark.parametrize(
    "call", ["print", "rich.print", "Console", "typer.echo", "sys.stdout.write", "sys.stderr.write"]
)
def test_nothing_is_printed_around_the_filter(call: str) -> None:
    source = Path(package.__file__).parent
    allowed = {"terminal/plain.py": "typer.echo"}  # what `say` itself uses
    for writes_a_page_of_docs in ("reporting/glossary.py", "recipes/methods/page.py"):
        allowed[writes_a_page_of_docs] = "print"
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        assert call not in _calls(path) or allowed.get(name) == call, name
