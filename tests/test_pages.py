"""README and docs/: their code runs, and the commands, options, names and files that they mention exist."""

from __future__ import annotations

import pkgutil
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from oger.cli.main import app
from oger.recipes import Recipe
from oger.training.run.options import training_keys

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
# tests/test_readme.py runs README's with a small policy in the place of the one that would be downloaded.
RUN_ELSEWHERE = {"README.md"}
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^\n]+) -->\n+)?```python\n(?P<code>.*?)```", re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text()) and page.name not in RUN_ELSEWHERE]
# Options that a page mentions by themselves and that are of another program: vLLM's server, our pytest.
OF_OTHERS = {"--cpu", "--generation-config", "--max-model-len", "--soak"}
SCRIPTS = [
    *(ROOT / "benchmarks").glob("*.py"),
    *(ROOT / "docs").glob("*.py"),
    ROOT / "tests/equivalence/record.py",
    ROOT / "tests/support/corpus_report.py",
]
ENTRY_POINT_GROUPS = {"oger.kinds", "oger.shaping_rewards", "oger.worlds", "oger.encoders"}


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    names: dict[str, Any] = {}
    text = page.read_text()
    for block in BLOCK.finditer(text):
        if block["reason"] is None:
            line = text[: block.start("code")].count("\n")
            exec(compile("\n" * line + block["code"], str(page), "exec"), names)


def test_no_page_has_python_that_the_tests_do_not_see() -> None:
    for page in PAGES:
        assert not re.search(r"^    (from \w+ import|import \w+$)", BLOCK.sub("", page.read_text()), re.MULTILINE), page
    assert {"python.md", "encoders.md", "verification.md", "exploration-reward.md"} <= {page.name for page in WITH_CODE}


def commands(text: str) -> Iterator[str]:
    """Each `oger ...` of a page: its blocks of commands, and what stands between backticks."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for line in re.findall(r"^(?:    |\$ )?(?:\w+=\S+ )*(oger .*)$", joined, re.MULTILINE):
        yield line.split(" # ")[0].split("  #")[0]
    for line in re.findall(r"oger\.cli\.main (.*)$", joined, re.MULTILINE):
        yield "oger " + line.split("`")[0].split(" # ")[0]
    for inline in re.findall(r"`(oger [^`]+)`", text):
        whole = " ".join(inline.split())
        head, bar, rest = whole.partition(r"\|")  # oger teachers show\|validate: two commands
        yield head
        for other in rest.split(r"\|") if bar else ():
            yield " ".join([*head.split()[:-1], other])


def wrong(line: str) -> str | None:
    """What of a command does not exist, or None."""
    command: Any = get_command(app)
    keys = {*Recipe.__dataclass_fields__, *training_keys()}
    words = [word for word in shlex.split(line.replace("[", " ").replace("]", " "))[1:] if word != "..."]
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        if words[0] not in command.commands:
            return words[0] if words[0].islower() else None  # COMMAND stands for any
        command = command.commands[words.pop(0)]
    options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help", "-h"}
    for word in words:
        if re.match(r"--?[a-z]", word) and word.partition("=")[0] not in options:
            return word
        if command.name in ("train", "preview", "plan") and re.match(r"[a-z_]+=", word):
            key = word.partition("=")[0]
            if key not in keys and key != "key":
                return word
    return None


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_a_page_shows_exists_with_its_options(page: Path) -> None:
    for line in commands(page.read_text()):
        assert wrong(line) is None, f"{line}: {wrong(line)}"


def test_the_walk_sees_what_is_wrong() -> None:
    text = (
        "    oger trian x\n\n`oger train smoke --resum` `oger train smoke learning_rat=1` `oger teachers show\\|hide T`"
    )
    assert [wrong(line) for line in commands(text)] == ["trian", "--resum", "learning_rat=1", None, "hide"]
    assert sum(len(list(commands(page.read_text()))) for page in PAGES) > 100


def test_every_option_that_a_page_mentions_is_one_of_a_command() -> None:
    def options(command: Any) -> set[str]:
        inner = [options(each) for each in getattr(command, "commands", {}).values()]
        return {name for option in command.params for name in option.opts}.union(*inner)

    known = options(get_command(app)) | OF_OTHERS
    known |= {name for script in SCRIPTS for name in re.findall(r'"(--[a-z-]+)"', script.read_text())}
    for page in PAGES:
        mentioned = set(re.findall(r"`(--[a-z][a-z-]+)[^`]*`", page.read_text()))
        assert mentioned <= known, f"{page.name}: {mentioned - known}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_name_and_file_that_a_page_mentions_exists(page: Path) -> None:
    text = page.read_text()
    for name in set(re.findall(r"`(oger(?:\.\w+)+)`", text)) - ENTRY_POINT_GROUPS:
        assert exists(name), name
    for path in re.findall(r"`((?:oger|src|tests|docs|examples|studies|benchmarks)/[\w/.-]+)`", text):
        placeholder = any(part.isupper() for part in path.split("/"))
        assert placeholder or (ROOT / path).exists() or (ROOT / "src" / path).exists(), path
    for module in re.findall(r"python -m ((?:oger|benchmarks|tests)[\w.]*)", text):
        assert find_spec(module), module


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True
