"""The YAML that recipes are written in: the safe subset, read the way people mean it.

Differences from PyYAML's `safe_load`: 1e-4 is a number (YAML 1.1 wants 1.0e-4); 2026-04-01, 12:30, yes and no are text
(only true and false are truth values); a key given twice is an error instead of a silent choice. There are mappings,
lists, texts, numbers, truth values and null, nothing else, within limits that only a hostile file exceeds. What `dump`
writes, `load` reads back unchanged.

ruamel.yaml does not take its place: it reads 012 and 0b1 as numbers and dates as dates, accepts !!binary, a value that
contains itself, lists as keys and any depth, says an error in up to 11 lines, and dumps 33 of 38 recipes and methods
otherwise. What is here would have to be written once more around it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from oger.io.whole import regular

MAX_BYTES = 1_000_000
"""Largest file or text that is read: PyYAML takes a minute for ten times as much."""
_MAX_VALUES = 100_000
"""Most values of a document with its aliases written out: nine lines of aliases can stand for a thousand million."""
_MAX_DEPTH = 50
_MAX_WHOLE_NUMBER = 2**63

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
_RARE_LINE_ENDS = re.compile("[\x85\u2028\u2029]")
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

    def represent_str(self, data: str) -> yaml.ScalarNode:
        """Double quotes where a text holds a line end that only they keep."""
        style = '"' if _RARE_LINE_ENDS.search(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _error(node: yaml.Node, problem: str) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _mapping(loader: _Loader, node: yaml.Node) -> dict[Any, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise _error(node, "not a mapping")
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, (str, int, float, bool)):
            raise _error(key_node, "a key must be a word")
        if key in seen:
            raise _error(key_node, f"the key {key!r} is given twice")
        seen.add(key)
    return yaml.constructor.SafeConstructor.construct_mapping(loader, node, deep=True)


def _scalar(
    read: Callable[[str], Any], pattern: re.Pattern[str] | None = None, name: str = ""
) -> Callable[[_Loader, yaml.ScalarNode], Any]:
    """Constructor of scalars that look like one; an explicit tag can stand before any text."""

    def construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
        text = loader.construct_scalar(node)
        if pattern is not None and not pattern.match(text):
            raise _error(node, f"{text:.40} is not {name}")
        try:
            return read(text if pattern is None else text.replace("_", ""))
        except ValueError as error:
            raise _error(node, str(error)) from None

    return construct


def _text(text: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("the text holds half a surrogate pair, which is no character")
    return text


def _whole_number(text: str) -> int:
    if len(text) > 40 or abs(number := int(text)) >= _MAX_WHOLE_NUMBER:
        raise ValueError("the whole number needs more than 64 bits")
    return number


def _float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _refused(loader: _Loader, node: yaml.Node) -> Any:
    raise _error(node, f"the tag {node.tag!r} has no place here")


_Loader.yaml_constructors = {  # without dates, bytes and sets, which only an explicit tag could ask for
    **{tag: yaml.SafeLoader.yaml_constructors[tag] for tag in ("tag:yaml.org,2002:null", "tag:yaml.org,2002:seq")},
    "tag:yaml.org,2002:map": _mapping,
    "tag:yaml.org,2002:str": _scalar(_text),
    _INT_TAG: _scalar(_whole_number, _INT, "a whole number"),
    _FLOAT_TAG: _scalar(_float, _FLOAT, "a number"),
    _BOOL_TAG: _scalar(lambda text: text.lower() == "true", _BOOL, "true or false"),
    None: _refused,
}


def _check_size(root: yaml.Node) -> None:
    """Counts every value as often as aliases repeat it, without writing them out."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if depth > _MAX_DEPTH:
            raise _error(node, f"nested more than {_MAX_DEPTH} deep")
        if id(node) in sizes:
            if not sizes[id(node)]:
                raise _error(node, "the value contains itself")
            return sizes[id(node)]
        if isinstance(node, yaml.ScalarNode):
            return 1
        sizes[id(node)] = 0  # under way
        parts = node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
        total = 1
        for part in parts:
            total += size(part, depth + 1)
            if total > _MAX_VALUES:
                raise _error(node, f"more than {_MAX_VALUES:,} values")
        sizes[id(node)] = total
        return total

    size(root, 0)


def read_text(path: Path) -> str:
    """The text of a file that holds a document.

    Raises:
        ValueError: larger than `MAX_BYTES`, not UTF-8, or no regular file.
        OSError: it cannot be read.
    """
    with open(regular(path), "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES:,} bytes: it is no recipe, study or benchmark")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not a text file: {error}") from error


def load(text: str) -> Any:
    """The document in `text`.

    Raises:
        ValueError: not YAML, a key given twice, a tag outside the safe subset, or beyond the limits; names line and
            column where there is one.
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"the text is longer than {MAX_BYTES:,} characters")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_size(root)
        return loader.construct_document(root)
    except RecursionError:
        raise ValueError(f"nested more than {_MAX_DEPTH} deep") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def dump(document: Any) -> str:
    """`document` as YAML, keys in their own order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
