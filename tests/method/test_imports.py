"""`oger.method` stands alone: torch, the standard library, itself and `oger.words`, nothing else."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import oger.method

MODULES = sorted(Path(oger.method.__file__).parent.glob("*.py"))


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_source_imports_torch_the_standard_library_and_the_method_alone(path):
    for name in imported_names(path):
        top = name.split(".")[0]
        assert top == "torch" or top in sys.stdlib_module_names or name.startswith(("oger.method.", "oger.words")), name


def test_importing_the_whole_method_loads_no_training_library():
    names = [f"oger.method.{path.stem}" for path in MODULES if path.stem != "__init__"]
    assert len(names) >= 8
    heavy = [
        "transformers",
        "trl",
        "accelerate",
        "datasets",
        "peft",
        "oger.training",
        "oger.verification",
        "oger.worlds",
    ]
    code = f"import sys, {', '.join(names)}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
