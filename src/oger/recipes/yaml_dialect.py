"""The YAML that recipes are written in: the safe subset, read the way people mean it.

Differences from PyYAML's `safe_load`: 1e-4 is a number (YAML 1.1 wants 1.0e-4); 2026-04-01, 12:30, yes and no are text
(only true and false are truth values); a key given twice is an error instead of a silent choice. What `dump` writes,
`load` reads back unchanged.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |[-+]?\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?\.(?:inf|Inf|INF)
    |\.(?:nan|NaN|NAN))$""",
    re.VERBOSE,
)
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_FLOAT_TAG, _INT_TAG, _BOOL_TAG = (f"tag:yaml.org,2002:{name}" for name in ("float", "int", "bool"))
_REPLACED_TAGS = {_FLOAT_TAG, _INT_TAG, _BOOL_TAG, "tag:yaml.org,2002:timestamp"}


def _resolvers(base: dict[Any, list[tuple[str, Any]]]) -> dict[Any, list[tuple[str, Any]]]:
    """`base` with numbers as above and without timestamps, keyed by the first character of a scalar."""
    resolvers = {
        first: [(tag, pattern) for tag, pattern in entries if tag not in _REPLACED_TAGS]
        for first, entries in base.items()
    }
    for first in "tTfF":
        resolvers[first] = [*resolvers.get(first, []), (_BOOL_TAG, _BOOL)]
    for first in "-+0123456789.":
        resolvers[first] = [*resolvers.get(first, []), (_INT_TAG, _INT), (_FLOAT_TAG, _FLOAT)]
    return resolvers


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers(yaml.SafeLoader.yaml_implicit_resolvers)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _resolvers(yaml.SafeDumper.yaml_implicit_resolvers)

    def ignore_aliases(self, data: Any) -> bool:
        """A value that occurs twice is written twice: people read and edit these files."""
        return True


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool)):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def load(text: str) -> Any:
    """The document in `text`.

    Raises:
        ValueError: not YAML, a key given twice, or a tag outside the safe subset; names line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def dump(document: Any) -> str:
    """`document` as YAML, keys in their own order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
