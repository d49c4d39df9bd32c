"""What trackers get beyond the metrics: histograms, and a name under which a resumed run goes on where it was.

transformers' own callbacks send the metrics (option `report_to`). Those of tensorboard, trackio and wandb are replaced
here by subclasses that also send what `metrics/histograms.py` counts, as `train/histogram/NAME` (mlflow has no
histograms and keeps its callback). A row of histograms is the sum over the rollout batches since the last one.
"""

from __future__ import annotations

import copy
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from oger.io.whole import regular, write_text
from oger.runs.paths import TENSORBOARD, TRACKER_ID
from oger.training.metrics.histograms import NUM_BINS, RANGES, Taker

_ID = re.compile(r"[0-9a-f]{8}")
_ID_BYTES = 16  # more is read of no file


class PendingHistograms:
    """Counts of the rollout batches that a tracker has not been told of yet."""

    def __init__(self) -> None:
        self._counts: dict[str, np.ndarray] = {}

    def add(self, step: int, counted: Mapping[str, Mapping[str, Any]]) -> None:
        """Adds one rollout batch, in the form of `metrics/histograms.py`."""
        for name, entry in counted.items():
            self._counts[name] = self._counts.get(name, 0) + np.array(entry["counts"])

    def take(self, logs: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> (counts, edges) of what there is to tell, where `logs` is a row of training; forgets it."""
        if any(name.startswith("eval_") for name in logs):
            return {}
        taken, self._counts = self._counts, {}
        return {
            f"histogram/{name}": (counts, np.linspace(*RANGES[name], NUM_BINS + 1))
            for name, counts in taken.items()
            if counts.any()
        }


def add_histograms(callbacks: list[Any]) -> list[Taker]:
    """Replaces, among a trainer's callbacks, the trackers that draw histograms; returns what takes a batch's counts."""
    takers: list[Taker] = []
    for index, callback in enumerate(callbacks):
        tracker = _TRACKERS.get(type(callback))
        if tracker is None or getattr(callback, "tb_writer", None) is not None:  # a writer of the user's own
            continue
        callbacks[index] = tracker()
        takers.append(callbacks[index].pending.add)
    return takers


def tracker_id(folder: Path) -> str:
    """Eight hexadecimal digits that are this run folder's own; made at the first call, and where others stand there.

    Raises:
        ValueError: a pipe or a folder is in its place.
    """
    path = folder / TRACKER_ID
    folder.mkdir(parents=True, exist_ok=True)
    found = regular(path).read_bytes()[:_ID_BYTES].decode("ascii", "replace").strip() if path.exists() else ""
    if _ID.fullmatch(found):
        return found
    made = secrets.token_hex(4)
    write_text(path, made + "\n")
    return made


def _named(args: Any) -> Any:
    """The options with a run name of the run folder's own, where none is asked for."""
    if args.run_name is not None or args.record_dir is None:
        return args
    folder = Path(args.record_dir)
    named = copy.copy(args)
    named.run_name = f"{folder.resolve().name}-{tracker_id(folder)}"
    return named


def _with_histograms(logs: Mapping[str, Any], pending: PendingHistograms, kind: Callable[..., Any]) -> dict[str, Any]:
    return {**logs, **{name: kind(np_histogram=histogram) for name, histogram in pending.take(logs).items()}}


class _Drawing:
    """A tracker's callback with the histograms that it still has to draw."""

    def __init__(self) -> None:
        super().__init__()
        self.pending = PendingHistograms()


class _Trackio(_Drawing, TrackioCallback):
    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        # trackio takes the run of this name up again, since transformers asks it to.
        super().setup(_named(args) if state.is_world_process_zero else args, state, model, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **kwargs: Any) -> None:
        logs = _with_histograms(logs, self.pending, self._trackio.Histogram)
        super().on_log(args, state, control, model=model, logs=logs, **kwargs)


class _Wandb(_Drawing, WandbCallback):
    def setup(self, args: Any, state: Any, model: Any, **kwargs: Any) -> None:
        own = state.is_world_process_zero and args.record_dir is not None and "WANDB_RUN_ID" not in os.environ
        if own:
            args = _named(args)
            if self._wandb.run is None:  # else the user has started it
                self._wandb.init(
                    project=os.getenv("WANDB_PROJECT", "huggingface"),
                    name=args.run_name,
                    id=tracker_id(Path(args.record_dir)),
                    resume="allow",
                )
        super().setup(args, state, model, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, model: Any = None, logs: Any = None, **kwargs: Any) -> None:
        logs = _with_histograms(logs, self.pending, self._wandb.Histogram)
        super().on_log(args, state, control, model=model, logs=logs, **kwargs)


class _TensorBoard(_Drawing, TensorBoardCallback):
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero and self.logging_dir is None and args.record_dir is not None:
            # TensorBoard then hides what a killed run had logged after the checkpoint that this one starts from.
            self.tb_writer = self._SummaryWriter(
                log_dir=str(Path(args.record_dir) / TENSORBOARD), purge_step=state.global_step + 1
            )
        super().on_train_begin(args, state, control, **kwargs)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        super().on_log(args, state, control, logs=logs, **kwargs)
        for name, (counts, edges) in self.pending.take(logs).items():
            middles = (edges[1:] + edges[:-1]) / 2
            self.tb_writer.add_histogram_raw(
                f"train/{name}",
                min=edges[0],
                max=edges[-1],
                num=int(counts.sum()),
                sum=float(counts @ middles),
                sum_squares=float(counts @ middles**2),
                bucket_limits=edges[1:].tolist(),
                bucket_counts=counts.tolist(),
                global_step=state.global_step,
            )


_TRACKERS: Mapping[type, type[Any]] = {
    TrackioCallback: _Trackio,
    WandbCallback: _Wandb,
    TensorBoardCallback: _TensorBoard,
}
