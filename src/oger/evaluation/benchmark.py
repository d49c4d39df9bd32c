"""What a benchmark is: a small YAML file that says where the problems lie, how to ask, and how to grade.

The shipped ones are the files of `oger/evaluation/benchmarks/`; a path to another such file works alike. Keys:

title, group, source, config, split   what it is and where on the hub; `group` puts it into --benchmarks math, ood, ...
columns     field -> column: problem (or prompt: used as it stands), answer, id; for multiple choice options, or
            correct and incorrect (a list of columns)
prompt      the user's message; {problem} and {options} are filled in
kind, rules how an answer is graded and found (oger.verification)
samples, temperature, top_p, max_tokens   the protocol; the command line overrides it
problems    how many there should be; a full load of another number is reported
licence, unverified   of the data; and what of this file nobody has checked
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from oger.io import yaml as yaml_dialect
from oger.io.models import Must, Number, Text, Whole, checked
from oger.io.rows import FILE_FORMATS, WORLD_PREFIX, world_name
from oger.verification.formats import DEFAULT_RULES, extract_answer
from oger.verification.kinds import load_kind
from oger.words import one_of

_FOLDER = Path(__file__).parent / "benchmarks"
_FIELDS = ("id", "prompt", "problem", "answer", "options", "correct", "incorrect", "kind", "metadata")
_ROW_COLUMNS = {name: name for name in ("id", "prompt", "answer", "kind", "metadata")}
"""Of a source that is no benchmark file: the columns that recipes read."""


class BenchmarkError(ValueError):
    """A benchmark that cannot be used; the message is one line that says what to do."""


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, as its file says."""

    name: str
    source: Text
    """Hub id; a source of recipes (`world:NAME/SPLIT`, a file) where the benchmark is no file of its own."""
    columns: Mapping[str, Any]
    title: str = ""
    group: str = ""
    config: str | None = None
    split: str = "test"
    prompt: str = "{problem}"
    kind: str = "math"
    rules: Sequence[str] = DEFAULT_RULES
    samples: Whole = 8
    temperature: Number = 0.6
    top_p: Annotated[float, Field(strict=True, gt=0, le=1), Must("lie in (0, 1],")] = 1.0
    max_tokens: Whole | None = 8192
    """None: as the policy's run or world says."""
    problems: Whole | None = None
    licence: str = ""
    unverified: Sequence[str] = ()

    def __post_init__(self) -> None:
        if Path(self.name).name != self.name or self.name == "..":
            raise BenchmarkError(
                f"{self.name!r} cannot name a benchmark, whose responses go into a folder of that name"
            )
        for name in self.columns:
            one_of(_FIELDS, name, f"column of {self.name}")
        if "prompt" not in self.columns and "problem" not in self.columns:
            raise BenchmarkError(f"{self.name}: columns needs prompt or problem")
        if "answer" not in self.columns and "correct" not in self.columns:
            raise BenchmarkError(f"{self.name}: columns needs answer (or, for options, correct and incorrect)")
        if ("correct" in self.columns) != ("incorrect" in self.columns):
            raise BenchmarkError(f"{self.name}: columns needs both correct and incorrect, or neither")
        if "problem" in self.columns and "{problem}" not in self.prompt:
            raise BenchmarkError(f"{self.name}: prompt does not say where {{problem}} goes")
        if self.has_options != ("{options}" in self.prompt):
            raise BenchmarkError(f"{self.name}: options in columns and {{options}} in prompt belong together")
        if self.has_options and self.kind != "choice":
            raise BenchmarkError(f"{self.name}: a benchmark with options is graded as kind: choice, not {self.kind}")
        load_kind(self.kind)
        extract_answer("", self.rules)

    @property
    def has_options(self) -> bool:
        """Whether it is multiple choice: letters are made for shuffled options."""
        return "options" in self.columns or "correct" in self.columns


def find_benchmarks(names: Sequence[str], columns: Mapping[str, str] | None = None) -> list[Benchmark]:
    """The benchmarks that a user names, each once and in this order.

    Args:
        names: shipped names, groups (`math`, `ood`), benchmark files (.yaml), or sources of rows: `world:NAME/SPLIT`,
            a .jsonl or a .parquet file.
        columns: field -> column of the .jsonl and .parquet files among them.

    Raises:
        BenchmarkError: a file that is no benchmark. ValueError: an unknown name; says the nearest.
    """
    found: dict[str, Benchmark] = {}
    for name in names:
        for benchmark in _named(name, columns or {}):
            known = found.setdefault(benchmark.name, benchmark)
            if known != benchmark:
                raise BenchmarkError(f"two benchmarks are called {benchmark.name}: rename one of the files")
    if not found:
        raise BenchmarkError(f"name a benchmark: {', '.join([*groups(), *shipped()])}")
    if columns and not any(benchmark.source.endswith(FILE_FORMATS) for benchmark in found.values()):
        raise BenchmarkError("a column map is for .jsonl and .parquet files, and none is among the benchmarks")
    return list(found.values())


@cache
def shipped() -> Mapping[str, Benchmark]:
    """The benchmarks of the package, in the order of the paper's tables."""
    benchmarks = [read_benchmark(path) for path in sorted(_FOLDER.glob("*.yaml"))]
    order = ("aime24", "aime25", "amc", "math500", "minerva", "olympiadbench")
    benchmarks.sort(key=lambda entry: (entry.group, order.index(entry.name) if entry.name in order else len(order)))
    return {benchmark.name: benchmark for benchmark in benchmarks}


def groups() -> dict[str, list[str]]:
    """Group -> names of the shipped benchmarks in it."""
    found: dict[str, list[str]] = {}
    for benchmark in shipped().values():
        found.setdefault(benchmark.group, []).append(benchmark.name)
    return found


def read_benchmark(path: Path) -> Benchmark:
    """The benchmark of one YAML file; its name is that of the file.

    Raises:
        BenchmarkError: not readable, not a mapping, an unknown or a missing key, or a value that cannot be.
    """
    try:
        content = yaml_dialect.load(yaml_dialect.read_text(path))
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"cannot read the benchmark {path}: {error}") from error
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path} is no benchmark: it must be a mapping of keys")
    known = [entry.name for entry in fields(Benchmark) if entry.name != "name"]
    for key in content:
        one_of(known, str(key), f"key of {path}")
    missing = [key for key in ("source", "columns") if not content.get(key)]
    if missing or not isinstance(content["columns"], dict):
        raise BenchmarkError(f"{path} needs {' and '.join(missing) or 'columns as a mapping'}")
    return checked(lambda: Benchmark(name=path.stem, **content), BenchmarkError, str(path), f"{path}: ")


def _named(name: str, columns: Mapping[str, str]) -> list[Benchmark]:
    if name.startswith(WORLD_PREFIX):
        world = world_name(name)
        split = name.partition("/")[2] or "test"
        return [_rows_benchmark(f"{world}-{split}", f"{WORLD_PREFIX}{world}/{split}", {})]
    path = Path(name)
    if path.suffix in FILE_FORMATS:
        return [_rows_benchmark(path.stem, name, columns)]
    if path.suffix in (".yaml", ".yml"):
        return [read_benchmark(path)]
    members = groups()
    if name in members:
        return [shipped()[member] for member in members[name]]
    return [shipped()[one_of([*shipped(), *members], name, "benchmark")]]


def _rows_benchmark(name: str, source: str, columns: Mapping[str, str]) -> Benchmark:
    """Rows as recipes have them, asked as they stand, sampled as training samples: temperature 1."""
    taken = dict(columns) or _ROW_COLUMNS
    if "problem" not in taken:
        taken = {"prompt": "prompt", **taken}
    columns = {"answer": "answer", **taken}
    return checked(
        lambda: Benchmark(name=name, source=source, columns=columns, temperature=1.0, max_tokens=None),
        BenchmarkError,
        source,
    )
