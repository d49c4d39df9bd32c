"""What is handed on to others: hints that can be followed, hooks that run what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# Where `pip install` of the package's own name finds nothing: no index has it, only a clone or a wheel.
ONLY_FROM_WHEELS = re.compile(r"pip install --no-index [^`]*oger-rl")


def test_the_hooks_before_a_commit_run_what_ci_runs() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    targets = {hook["entry"].split()[-1] for hook in repository["hooks"]}
    [before_tests] = re.findall(r"^test: (.*)$", MAKEFILE, re.MULTILINE)
    assert targets == set(before_tests.split()) == {"lint", "types"}


@pytest.mark.parametrize("folder", ["src", "docs", "examples"])
def test_no_hint_installs_the_package_from_an_index(folder: str) -> None:
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in (".py", ".md", ".yaml", ".sh", ".ipynb"):
            text = ONLY_FROM_WHEELS.sub("", path.read_text(encoding="utf-8"))
            assert not re.search(r"pip3? (install|download)[^\n`]*oger-rl", text), path


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_target_of_make_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    defined = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert named
    assert named <= defined
