"""What does OGER add to a training step, part by part?

    python -m benchmarks.reward [--steps 30] [--encoder ngram]

Trains the embedded world's policy as quickstart does (128 rollouts per step, one thread) and times every part between
generation and update, in turn with plain GRPO on the same trainer (A B A B ...), whose step is what the parts are held
against. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from transformers import PrinterCallback

ROUNDS = 3
WARM_UP = 3
PARTS = {  # what is timed: (module, attribute) -> name
    ("oger.training.trainer", "sample"): "generate",
    ("oger.training.trainer.OGERTrainer", "_calculate_rewards"): "verify",
    ("oger.training.groups.vectors.BatchVectors", "divergence"): "embed and compare",
    ("oger.training.trainer", "replace"): "choose rows and teachers",
    ("oger.training.trainer", "forward_without_gradient"): "log-probs and entropies",
    ("oger.training.trainer", "hesitation"): "confidence",
    ("oger.training.trainer", "shape"): "shaping rewards",
    ("oger.training.trainer", "score"): "reward and advantage",
    ("oger.training.metrics.recorder.Recorder", "record"): "metrics and histograms",
}
ADDED = tuple(name for name in PARTS.values() if name not in ("generate", "verify"))


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--encoder", default="ngram")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    variants = ([f"encoder={json.dumps(arguments.encoder)}"], ["teacher_rows=0", "exploration_weight=0"])
    seconds: tuple[dict[str, list[float]], ...] = (defaultdict(list), defaultdict(list))
    for _ in range(ROUNDS):
        for overrides, collected in zip(variants, seconds, strict=True):
            for name, times in timed_run(arguments.steps // ROUNDS, overrides).items():
                collected[name] += times
    report(*({name: statistics.median(times) for name, times in one.items()} for one in seconds), arguments.encoder)


def timed_run(steps: int, overrides: list[str]) -> dict[str, list[float]]:
    """Seconds of every part and of the whole step, per step after the warm-up."""
    from oger.recipes import load_recipe
    from oger.training.run.build import build_trainer

    with tempfile.TemporaryDirectory() as folder:
        recipe = load_recipe(
            "quickstart",
            [
                *overrides,
                f"max_steps={steps + WARM_UP}",
                "validation=null",
                "save_strategy='no'",
                "rollouts_every=0",
                f"output_dir={json.dumps(folder)}",
            ],
        )
        with stopwatch() as seconds:
            trainer = build_trainer(recipe)
            trainer.remove_callback(PrinterCallback)
            trainer.train()
    rows = [row for row in trainer.state.log_history if "time/step" in row][WARM_UP:]
    return {
        **{name: times[WARM_UP:] for name, times in seconds.items()},
        "step": [row["time/step"] for row in rows],
    }


@contextmanager
def stopwatch() -> Iterator[dict[str, list[float]]]:
    """Times the calls of PARTS while the context lasts; each is called once per step."""
    seconds: dict[str, list[float]] = defaultdict(list)
    originals = []
    for (place, attribute), name in PARTS.items():
        owner = _find(place)
        original = getattr(owner, attribute)
        originals.append((owner, attribute, original))
        setattr(owner, attribute, _timed(original, seconds[name]))
    try:
        yield seconds
    finally:
        for owner, attribute, original in originals:
            setattr(owner, attribute, original)


def _timed(function: Callable[..., Any], times: list[float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            times.append(time.perf_counter() - began)

    return timed


def _find(place: str) -> Any:
    from importlib import import_module

    module, _, name = place.rpartition(".")
    return getattr(import_module(module), name) if name[0].isupper() else import_module(place)


def report(with_oger: dict[str, float], plain: dict[str, float], encoder: str) -> None:
    """A table of the parts and one line of JSON."""
    table = Table(title=f"Seconds per step of 128 rollouts, encoder {encoder} (medians)")
    for column in ("part", "OGER", "plain GRPO", "of the plain step"):
        table.add_column(column, justify="left" if column == "part" else "right")
    for name in (*PARTS.values(), "step"):
        ours, theirs = with_oger.get(name, 0.0), plain.get(name, 0.0)
        share = (ours - theirs) / plain["step"]
        table.add_row(name, f"{ours:.4f}", f"{theirs:.4f}", f"{100 * share:+.1f} %")
    Console().print(table)
    added = sum(with_oger.get(name, 0.0) - plain.get(name, 0.0) for name in ADDED)
    forward = "log-probs and entropies"
    line = {
        "encoder": encoder,
        "step_oger": round(with_oger["step"], 4),
        "step_plain": round(plain["step"], 4),
        "added_share": round(added / plain["step"], 4),
        "added_without_forward_share": round((added - with_oger[forward] + plain.get(forward, 0.0)) / plain["step"], 4),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    from transformers.utils import logging

    logging.set_verbosity_error()
    import datasets

    datasets.disable_progress_bars()
    main()
