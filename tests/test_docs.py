"""What the pages show is what the commands print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from oger.runs.alarms import ALARMS
from oger.training.config import OGERConfig

DOCS = Path(__file__).parents[1] / "docs"
REWARD_PAGE = (DOCS / "exploration-reward.md").read_text()


def test_the_worked_group_is_what_its_script_prints() -> None:
    printed = subprocess.run(
        [sys.executable, DOCS / "worked_group.py"], capture_output=True, text=True, check=True
    ).stdout.rstrip("\n")
    [shown] = re.findall(r"```text\n(.*?)\n```", REWARD_PAGE, re.DOTALL)
    assert shown == printed


def test_the_shaping_reward_of_the_page_works(tmp_path: Path) -> None:
    from oger.rewards import load_shaping_reward

    [code] = re.findall(r"```python\n(.*?)```", REWARD_PAGE, re.DOTALL)
    (tmp_path / "bonus.py").write_text(code)
    assert load_shaping_reward(str(tmp_path / "bonus.py"))[0] == "my_bonus"


@pytest.mark.parametrize("name", ALARMS)
def test_every_alarm_is_on_the_page_with_its_threshold(name: str) -> None:
    assert f"| `{name}` | {ALARMS[name].threshold:g} | {ALARMS[name].meaning} |" in REWARD_PAGE


def test_every_option_that_the_page_names_exists() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", REWARD_PAGE, re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} - set(ALARMS)
    assert names <= set(OGERConfig.__dataclass_fields__)
    assert len(names) > 10


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_test_that_the_page_of_promises_names_exists() -> None:
    root, file, named = DOCS.parent, "", 0
    for path, name in re.findall(r"`(tests/[\w/]+\.py)?::(\w+)`", (DOCS / "reliability.md").read_text()):
        file = path or file
        assert f"def {name}(" in (root / file).read_text(), f"{file}::{name}"
        named += 1
    assert named > 20
