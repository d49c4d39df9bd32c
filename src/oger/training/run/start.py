"""RUN/started.yaml: what a run was started with. A resume with anything else would be another run, and is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.io.whole import regular, write_text
from oger.recipes.paths import moved_paths
from oger.recipes.recipe import Recipe, make_recipe
from oger.runs.paths import STARTED
from oger.training.run.options import check_training
from oger.training.run.rows import Rows, RunData


def same_start(run: Path, recipe: Recipe, data: RunData, tests: Mapping[str, Rows], processes: int) -> None:
    """Compares processes and data with those that the run was started with; the first start keeps them.

    Raises:
        ValueError: they differ; one line that names what does.
    """
    sets = {"train": data.train, "validation": data.validation, **{f"test.{name}": tests[name] for name in tests}}
    found = {name: {"rows": len(rows), "checksum": _checksum(rows)} for name, rows in sets.items() if rows is not None}
    started = _read(run) or start_record(run, recipe, processes)  # an older run has none
    if started["processes"] != processes:
        raise ValueError(
            f"{run} was started with {started['processes']} processes, and this is a run of {processes}: resume "
            "with as many."
        )
    if not started["data"]:
        _write(run, {**started, "data": found})
        return
    for name, now in found.items():
        then = started["data"].get(name)
        if then != now:
            rows = f"{then['rows']} rows then, {now['rows']} now" if isinstance(then, Mapping) else "none then"
            raise ValueError(
                f"{name}: not the rows that the run was started with ({rows}): put the data back as they were, or "
                "start a new run with another output_dir."
            )


def start_record(run: Path, recipe: Recipe, processes: int) -> dict[str, Any]:
    """Keeps what a run is started with, as far as it is known before its data are read."""
    started = {"recipe": recipe.document, "processes": processes, "data": {}}
    _write(run, started)
    return started


def _write(run: Path, started: Mapping[str, Any]) -> None:
    write_text(run / STARTED, yaml_dialect.dump(started))


def started_recipe(run: Path) -> Recipe | None:
    """The recipe that a run was started with, resolved; None where the folder does not say, as older ones do not."""
    started = _read(run)
    return (
        None
        if started is None
        else check_training(make_recipe(moved_paths(started["recipe"], str(run)), name=run.name))
    )


def _read(run: Path) -> dict[str, Any] | None:
    path = run / STARTED
    if not os.path.lexists(path):
        return None
    try:
        content = yaml_dialect.load(yaml_dialect.read_text(regular(path)))
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    kinds = {"recipe": Mapping, "processes": int, "data": Mapping}
    if not isinstance(content, dict) or any(not isinstance(content.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"{path} is damaged: remove it to resume without comparing the data.")
    return content


def _checksum(rows: Rows) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(json.dumps(row, default=str).encode() + b"\n")
    return digest.hexdigest()
