"""Every command is killed, and refused by its disk, at any operation on its files: it says so, and ends as if never.

A few places of each in every run, all of them in a soak. `FAULT_SEED` chooses the few again.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.endpoint_server import EndpointServer
from tests.support.fault_scenarios import Scenario, assert_refused, scenarios, unreadable
from tests.support.file_faults import KILL, Ended, FaultServer, has_compiler

pytestmark = [
    pytest.mark.skipif(not has_compiler(), reason="needs a C compiler, on Linux"),
    pytest.mark.xdist_group("file_faults"),
]

FAULTS: dict[str, dict[str, Any]] = {
    "killed": {"how": KILL},
    "disk full": {"how": errno.ENOSPC, "lasts": True},
    "one error": {"how": errno.EIO},
    "read-only": {"how": errno.EROFS, "lasts": True},
    "forbidden": {"how": errno.EACCES},
    "killed while it reads": {"how": KILL, "what": "reads"},
    "broken for reading": {"how": errno.EIO, "what": "reads"},
}
ALWAYS = [("curate", "killed"), ("curate", "disk full"), ("collect", "killed"), ("collect", "one error"),
          ("train", "killed")]  # fmt: skip
EVERYWHERE = ("killed", "disk full")
"""What a soak tries at every operation of every command but a study, which starts processes for each."""
MOST, MOST_OF_A_STUDY = 25, 8
"""Places of the other faults."""
COMMANDS = ("train", "resume", "curate", "collect", "evaluate", "evaluate_own", "report", "compare")


@dataclass
class Harness:
    """The commands, and what each ends in where nothing disturbs it."""

    folder: Path
    server: FaultServer
    scenarios: dict[str, Scenario]
    wholes: dict[tuple[str, str], tuple[Any, int]]

    def fresh(self, name: str) -> Path:
        root = self.folder / name / "root"
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        self.scenarios[name].prepare(root)
        return root

    def whole(self, name: str, what: str) -> tuple[Any, int]:
        """The result, and how many operations it takes."""
        if (name, what) not in self.wholes:
            scenario, root = self.scenarios[name], self.fresh(name)
            ended = self.server.run(scenario.command(root), root, what=what)
            assert ended.status == 0, ended.output
            self.wholes[name, what] = scenario.result(root), ended.operations
        return self.wholes[name, what]


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    folder = tmp_path_factory.mktemp("server")
    with FaultServer(folder) as server, EndpointServer() as endpoint:
        yield Harness(tmp_path_factory.mktemp("faults"), server, scenarios(server, endpoint), {})


def attack(harness: Harness, name: str, fault: dict[str, Any], at: int) -> Ended:
    """One fault at one operation, and then the user goes on: what holds, always."""
    scenario = harness.scenarios[name]
    whole, _ = harness.whole(name, fault.get("what", "changes"))
    root = harness.fresh(name)
    before = unreadable(root)  # what the kill has left that a resume starts from
    ended = harness.server.run(scenario.command(root), root, at=at, **fault)
    if fault["how"] == KILL:
        assert ended.was_killed or ended.status in (0, 1, 2), ended  # one of its own processes was
    else:
        if ended.status != 0:
            assert_refused(ended)
        left = set(unreadable(root)) - set(before)
        if fault["how"] == errno.EROFS:  # what has become read-only cannot be tidied up either
            left = {line for line in left if not line.endswith("was left behind") and "/.writing/" not in line}
        assert not left, (ended.where, left)
    again = harness.server.run(scenario.again(root), root)
    assert again.status == 0, (ended.where, ended.output, again.output)
    assert scenario.result(root) == whole, (ended.where, ended.output, again.output)
    return ended


@pytest.mark.parametrize(("name", "fault"), ALWAYS)
def test_a_fault_at_some_operation_costs_nothing(harness: Harness, name: str, fault: str) -> None:
    seed = int(os.environ.get("FAULT_SEED", random.randrange(2**32)))
    print(f"FAULT_SEED={seed}")
    _, operations = harness.whole(name, FAULTS[fault].get("what", "changes"))
    attack(harness, name, FAULTS[fault], random.Random(seed).randint(1, operations))


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_fault_at_any_operation_costs_nothing(harness: Harness, name: str, fault: str) -> None:
    _, operations = harness.whole(name, FAULTS[fault].get("what", "changes"))
    assert operations > 3
    places = list(range(1, operations + 1))
    most = MOST_OF_A_STUDY if name == "compare" else None if fault in EVERYWHERE else MOST
    if most is not None and operations > most:
        places = sorted(random.sample(places, most))
    hit = sum(attack(harness, name, FAULTS[fault], at).where is not None for at in places)
    print(f"{name}, {fault}: {hit} of {operations} operations hit")
    assert hit > len(places) // 3  # what takes no space is not refused by a full disk


def test_the_harness_hits_what_it_aims_at(harness: Harness) -> None:
    _, operations = harness.whole("collect", "changes")
    root = harness.fresh("collect")
    first = harness.server.run(harness.scenarios["collect"].command(root), root, at=1)
    assert first.where == "open to write ROOT"  # a file without a name: whether the folder takes one
    ended = harness.server.run(harness.scenarios["collect"].command(root), root, at=2)
    assert ended.was_killed
    assert ended.where == "open to write ROOT/answers.jsonl"
    assert not (root / "answers.jsonl").exists()
    assert operations > 5
