"""Imports run one way: a folder of `src/oger` imports from the folders below it, and no files import one another in a
circle. Imports inside functions and for type checkers count, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import oger

SOURCE = Path(oger.__file__).parent

FLOORS = (
    ("cli", "study", "planning"),
    ("training",),
    ("reporting",),
    ("worlds", "runs"),
    ("evaluation", "teachers", "recipes", "rewards", "encoders"),
    ("verification", "method"),
    ("io", "terminal", "endpoint", "words", "plugins", "seeds", "faults"),
)
"""From the top floor down. Rooms of one floor may use one another, as long as no circle comes of it."""

FLOOR = {room: number for number, rooms in enumerate(reversed(FLOORS)) for room in rooms}
ONLY = {"method": {"method", "words"}, "io": {"io", "words", "plugins", "seeds", "faults", "terminal"}}
"""Rooms that know fewer others than their floor allows."""


@dataclass(frozen=True)
class Import:
    """One import of `oger` by `oger`; modules are named without the leading `oger.`."""

    importer: str
    imported: str
    name: str

    def __str__(self) -> str:
        return f"{self.importer} imports {self.name} from {self.imported}"


def module_name(path: Path, source: Path) -> str:
    return ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")


def imports_of(source: Path) -> list[Import]:
    modules = {module_name(path, source): path for path in source.rglob("*.py")}

    def owner(dotted: str) -> str:
        while dotted not in modules and "." in dotted:
            dotted = dotted.rpartition(".")[0]
        return dotted

    found = []
    for importer, path in modules.items():
        for dotted, name in _oger_imports(ast.parse(path.read_text(encoding="utf-8"))):
            imported = owner(dotted)
            inside = importer.startswith(f"{imported}.") and modules.get(imported, path).name == "__init__.py"
            if imported in modules and imported != importer and not inside:
                found.append(Import(importer, imported, name))
    return found


def _oger_imports(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module without `oger.`, name) of each import of the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "oger":
            for alias in node.names:
                yield f"{node.module}.{alias.name}".removeprefix("oger."), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("oger."):
                    yield alias.name.removeprefix("oger."), alias.name


def upward(imports: list[Import]) -> list[str]:
    """What breaks the order of the folders, as sentences."""
    wrong = []
    for found in imports:
        above, below = found.importer.split(".")[0], found.imported.split(".")[0]
        if above in ("__init__", "__main__") or below == above:
            continue
        if FLOOR[below] > FLOOR[above]:
            wrong.append(f"{found}, a folder above it")
        elif below not in ONLY.get(above, FLOOR):
            wrong.append(f"{found}, which {above} must not know")
    return wrong


def circles(imports: list[Import]) -> list[list[str]]:
    """Files that import one another, each circle once (Tarjan)."""
    uses: dict[str, set[str]] = {}
    for found in imports:
        uses.setdefault(found.importer, set()).add(found.imported)
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    rings: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for used in uses.get(module, ()):
            if used not in number:
                visit(used)
                lowest[module] = min(lowest[module], lowest[used])
            elif used in stack:
                lowest[module] = min(lowest[module], number[used])
        if lowest[module] == number[module]:
            ring = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(ring) > 1:
                rings.append(sorted(ring))

    for module in list(uses):
        if module not in number:
            visit(module)
    return rings


def test_every_room_stands_on_a_floor() -> None:
    rooms = {path.stem if path.is_file() else path.name for path in SOURCE.iterdir() if path.name[0] != "_"}
    assert rooms - {"py"} == set(FLOOR)


def test_no_import_runs_upward() -> None:
    assert upward(imports_of(SOURCE)) == []


def test_no_files_import_one_another() -> None:
    assert circles(imports_of(SOURCE)) == []


@pytest.mark.parametrize("lazy", [False, True])
def test_an_import_that_breaks_the_order_is_named(tmp_path: Path, lazy: bool) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "training").mkdir()
    statement = "from oger.training.loss import hybrid_loss"
    (tmp_path / "method" / "reward.py").write_text(f"def f():\n    {statement}\n" if lazy else statement)
    (tmp_path / "training" / "loss.py").write_text("from oger.method.reward import total_reward")
    imports = imports_of(tmp_path)
    assert upward(imports) == ["method.reward imports hybrid_loss from training.loss, a folder above it"]
    assert circles(imports) == [["method.reward", "training.loss"]]
