"""The names of the options of `OGERConfig`, read from source files, since importing it takes seconds.

They serve the early word on a misspelt key, or on one that is looked for in vain. What a key may hold is checked where
the class itself is at hand (`oger.training.run.options`), and so is a name where a source is not what is expected here.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path

from oger.recipes.recipe import OWN_KEYS, Recipe, RecipeError
from oger.words import did_you_mean

_OPTIONS = ("oger.training.config", "OGERConfig")


class UnknownSourceError(Exception):
    """A class whose source is not found, or not where its imports point to."""


def check_option_names(recipe: Recipe) -> None:
    """Raises RecipeError if a key of a recipe, or of its first stage, is no option, as far as sources can tell."""
    try:
        known = option_names()
    except UnknownSourceError:
        return
    check_names(recipe.training, known)
    check_names((key for key in recipe.first or {} if key not in OWN_KEYS), known)


def check_names(keys: Iterable[str], known: Collection[str]) -> None:
    """Raises RecipeError at the first key that is not among the known options."""
    for key in keys:
        if key not in known:
            meant = did_you_mean(str(key).replace("-", "_"), [*OWN_KEYS, *known])
            raise RecipeError(f"unknown key {key!r}{meant} (oger recipes keys lists them)")


@cache
def option_names() -> frozenset[str]:
    """The fields of `OGERConfig` that its constructor takes.

    Raises:
        UnknownSourceError: the source of one of its classes is not found.
    """
    return frozenset(_fields(*_OPTIONS))


def may_be_told(word: str) -> bool:
    """Whether a key's name or meaning may hold `word`: whether the sources of keys hold it in a name or a text.

    True also where it cannot be told, since a source is not found.
    """
    try:
        return any(word.casefold() in text for text in _texts())
    except UnknownSourceError:
        return True


@cache
def _texts() -> frozenset[str]:
    """Names of fields, and every text, of the modules that declare keys; spaces are single, letters small."""
    modules = {Recipe.__module__, *(module for module, _ in _classes(*_OPTIONS))}
    nodes = [node for module in modules for node in ast.walk(_source(module)[0])]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(" ".join(text.split()).casefold() for text in texts) | option_names() | set(OWN_KEYS)


def _fields(module: str, name: str) -> set[str]:
    """The dataclass fields of a class and of its bases; those that a class excludes from its constructor are none."""
    fields: set[str] = set()
    for _, body in _classes(module, name):
        for node in body.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                excluded = "ClassVar" in ast.unparse(node.annotation) or _is_excluded(node.value)
                (fields.discard if excluded else fields.add)(node.target.id)
    return fields


def _classes(module: str, name: str) -> Iterator[tuple[str, ast.ClassDef]]:
    """A class with its module, after its bases."""
    module, body = _definition(module, name)
    for base in reversed(body.bases):
        if not isinstance(base, ast.Name):
            raise UnknownSourceError(f"{module}.{name}: {ast.unparse(base)}")
        yield from _classes(module, base.id)
    yield module, body


def _is_excluded(value: ast.expr | None) -> bool:
    """Whether it is `field(init=False)`."""
    keywords = value.keywords if isinstance(value, ast.Call) else []
    return any(each.arg == "init" and getattr(each.value, "value", None) is False for each in keywords)


def _definition(module: str, name: str) -> tuple[str, ast.ClassDef]:
    """A class and the module that defines it, found through the imports of one that has the name."""
    tree, is_package = _source(module)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
    for inner in ast.walk(tree):  # packages with lazy imports state them under `if TYPE_CHECKING`
        if isinstance(inner, ast.ImportFrom):
            package = module.split(".")[: None if is_package else -1]
            above = package[: len(package) - inner.level + 1] if inner.level else []
            for each in inner.names:
                if (each.asname or each.name) == name:
                    return _definition(".".join(filter(None, [*above, inner.module])), each.name)
    raise UnknownSourceError(f"{module}.{name}")


def _source(module: str) -> tuple[ast.Module, bool]:
    """The parsed source of a module, which is not imported, nor its package, and whether it is a package."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder, *rest)
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return ast.parse(file.read_bytes()), file.name == "__init__.py"
    raise UnknownSourceError(module)
