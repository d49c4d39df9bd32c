"""docs/scale.md shows what `oger plan` prints, and names files and recipes that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from oger.recipes import recipe_names
from tests.cli.test_plan import plan
from tests.support.scale_page import BLOCK, COLUMNS, PAGE, block

TEXT = PAGE.read_text()
BLOCKS = [(match["arguments"], match[0]) for match in BLOCK.finditer(TEXT)]


@pytest.mark.parametrize(("arguments", "shown"), BLOCKS, ids=[arguments for arguments, _ in BLOCKS])
def test_the_page_shows_what_the_command_prints(oger, monkeypatch, arguments: str, shown: str) -> None:
    assert plan is not None
    monkeypatch.setenv("COLUMNS", COLUMNS)
    done = oger("plan", *arguments.split())
    assert shown == block(arguments, done.out), "write it anew: python -m tests.support.scale_page"


def test_every_recipe_for_a_large_machine_has_its_plan_on_the_page() -> None:
    planned = {arguments.split()[0] for arguments, _ in BLOCKS}
    assert planned == set(recipe_names()) - {"quickstart", "arithmetic", "smoke", "word_problems"}


def test_files_that_the_page_names_exist() -> None:
    named = set(re.findall(r"(?:examples/cluster/[\w.]+|tests/[\w/]+\.py)", TEXT))
    assert len(named) > 4
    for name in named:
        assert (Path(__file__).parents[2] / name).is_file(), name
