"""`oger quickstart`: the whole method on a small world, in minutes on a CPU."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from oger.cli.options import SeedOption


def quickstart(
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps; default: the recipe's.")] = None,
    seed: SeedOption = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder; default: the recipe's.")] = None,
) -> None:
    """Train a small policy with OGER on real reasoning tasks and show what changed."""
    began = time.perf_counter()
    from oger.training.run.train import quickstart as run

    run(steps=steps, seed=seed, out=out, imports=time.perf_counter() - began)
