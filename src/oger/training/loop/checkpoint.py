"""Checkpoints that are whole, and hold what TRL and transformers do not save: a resumed run is the same run.

Saved per rank: the step counter within a rollout batch, the buffered rollouts, metrics not yet logged, skipped steps,
what encoder made the divergences, and which prompts are guided. Random states, optimiser, scheduler and the position in
the data are transformers' own. Teacher draws need no state: they derive from (seed, step, prompt).

transformers writes a checkpoint file by file; here it does so in a staging folder, which is renamed when all ranks
have written and everything is on disk.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from accelerate.utils.memory import should_reduce_batch_size
from safetensors import SafetensorError, safe_open
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from oger.encoders.base import Encoder
from oger.encoders.identity import check_identity, identity_record
from oger.faults import RunFaultError
from oger.io.disk import disk_fault
from oger.io.objects import read_object
from oger.io.whole import damage, put_in_place, write_manifest
from oger.runs.card import CARD
from oger.runs.paths import VALIDATION, checkpoint_step
from oger.terminal.errors import one_line
from oger.training.loop.nonfinite import StepGuard
from oger.training.metrics.sums import MetricSums
from oger.training.rollouts.guided import Guidance

_WEIGHTS = re.compile(r"(adapter_)?model.*\.safetensors|pytorch_model|global_step|adapter_model\.bin")
"""Beginnings of names of weights: whole, in parts, of an adapter, sharded by FSDP, by DeepSpeed."""
STAGING = ".writing"
"""Folder of a checkpoint that is being written."""


def _state_file(folder: Path, rank: int) -> Path:
    return folder / f"oger_loop_state_{rank}.pt"


class Checkpoints:
    """The checkpoints of a trainer.

    Args:
        trainer: writes its checkpoints into `staging` while that is set.
        sums: metrics of the training that are not logged yet.
    """

    def __init__(
        self, trainer: GRPOTrainer, sums: MetricSums, encoder: Encoder, step_guard: StepGuard, guidance: Guidance
    ) -> None:
        self._trainer = trainer
        self._sums = sums
        self._encoder = encoder
        self._step_guard = step_guard
        self._guidance = guidance
        self.staging: Path | None = None

    def save(self, save: Callable[[], None]) -> None:
        """Writes the checkpoint of this step, whole or not at all; every rank takes part.

        Args:
            save: transformers' own saving.

        Raises:
            RunFaultError: it cannot be written; the checkpoints before it are as they were.
        """
        trainer = self._trainer
        state, folder = trainer.state, Path(str(trainer.args.output_dir))
        target = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        with _written_whole(trainer, target) as staging:
            staging.mkdir(parents=True, exist_ok=True)
            self._save_loop_state(staging)
            self.staging = staging.parent
            try:
                save()
            finally:
                self.staging = None
            trainer.accelerator.wait_for_everyone()
            if trainer.args.should_save:
                if state.best_global_step:  # transformers looks for it beside what it writes
                    best = folder / f"{PREFIX_CHECKPOINT_DIR}-{state.best_global_step}"
                    state.best_model_checkpoint = str(best) if best == target or best.is_dir() else None
                    state.save_to_json(str(staging / TRAINER_STATE_NAME))
                if missing := _missing(staging, trainer.accelerator.num_processes):
                    raise OSError(f"{missing} is missing: do all ranks write to one file system?")
                write_manifest(staging)
        if trainer.args.push_to_hub:
            trainer._push_from_checkpoint(str(target))
        if trainer.args.should_save:
            _drop_old(trainer, keep=target)

    def _save_loop_state(self, folder: Path) -> None:
        trainer = self._trainer
        state = {
            "step": trainer._step,
            "processes": trainer.accelerator.num_processes,
            "buffered_inputs": trainer._buffered_inputs,
            "sums": self._sums.state_dict(),
            "metrics": dict(trainer._metrics["train"]),
            "encoder": identity_record(self._encoder),
            "step_guard": self._step_guard.state_dict(),
            "guidance": self._guidance.state_dict(),
        }
        torch.save(state, _state_file(folder, trainer.accelerator.process_index))

    def load_loop_state(self, folder: Path) -> None:
        """Restores what a checkpoint holds beside transformers' own.

        Raises:
            FileNotFoundError: if the checkpoint holds no state for this rank (another world size, or another trainer).
            ValueError: if the encoder gives other vectors than the one that the run was started with.
        """
        trainer = self._trainer
        rank = trainer.accelerator.process_index
        path = _state_file(folder, rank)
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} holds no loop state of rank {rank}: resume with as many processes as the run was started "
                "with."
            )
        device = trainer.accelerator.device
        # Processes of a CPU have the device cpu:0, which torch.load does not know.
        state = torch.load(path, map_location="cpu" if device.type == "cpu" else device, weights_only=True)
        processes, before = trainer.accelerator.num_processes, state.get("processes")  # older ones do not say
        if before not in (None, processes):
            raise ValueError(
                f"{folder} is of {before} processes, and this run has {processes}: resume with as many as the run was "
                "started with."
            )
        check_identity(state["encoder"], self._encoder)
        trainer._step = state["step"]
        trainer._buffered_inputs = state["buffered_inputs"]
        self._sums.load_state_dict(state["sums"])
        trainer._metrics["train"].update(state["metrics"])
        self._step_guard.load_state_dict(state["step_guard"])
        self._guidance.load_state_dict(state.get("guidance", {}))  # none in checkpoints of versions without it


def save_policy(
    trainer: GRPOTrainer, folder: Path, record: Mapping[str, Any] | None = None, *, card: str | None = None
) -> None:
    """Writes the policy in transformers format into `folder`, whole or not at all; every rank takes part.

    Args:
        folder: what it held before is replaced.
        record: content of validation.json beside the policy, if any.
        card: its model card, in the place of what a library writes of its own.

    Raises:
        RunFaultError: it cannot be written; `folder` is as it was.
    """
    with _written_whole(trainer, folder) as staging:
        _save_weights(trainer, staging)
        if trainer.args.should_save:
            staging.mkdir(parents=True, exist_ok=True)
            if record is not None:
                (staging / VALIDATION).write_text(json.dumps(record) + "\n", encoding="utf-8")
            if card is not None:
                (staging / CARD).write_text(card, encoding="utf-8")


def _save_weights(trainer: GRPOTrainer, folder: Path) -> None:
    if trainer.is_fsdp_enabled and "FULL" not in str(trainer.accelerator.state.fsdp_plugin.state_dict_type):
        # For sharded checkpoints transformers' save_model writes nothing; the policy is gathered all the same.
        trainer._save(str(folder), state_dict=trainer.accelerator.get_state_dict(trainer.model))
    else:
        trainer.save_model(str(folder))


@contextmanager
def _written_whole(trainer: GRPOTrainer, folder: Path) -> Iterator[Path]:
    """A folder to write into, of the same name, which afterwards takes the place of `folder`."""
    leads, everyone = trainer.args.should_save, trainer.accelerator.wait_for_everyone
    top = folder.with_name(STAGING)
    try:
        if leads:
            shutil.rmtree(top, ignore_errors=True)  # of a process that was killed while it wrote
        everyone()
        yield top / folder.name
        everyone()
        if leads:
            put_in_place(top / folder.name, folder)
            shutil.rmtree(top, ignore_errors=True)
        everyone()
    except Exception as error:
        # torch, safetensors and tokenizers have exceptions of their own for what a disk refuses.
        if not isinstance(error, OSError | RuntimeError | SafetensorError) and disk_fault(error) is None:
            raise
        if should_reduce_batch_size(error):
            raise
        shutil.rmtree(top, ignore_errors=True)  # gives back what it took of a full disk
        raise RunFaultError(
            f"cannot write {folder} ({one_line(error, 200)}): make room, or make it writable, and go on with --resume "
            "from the checkpoint before."
        ) from error


def skip_epochs(sampler: RepeatSampler, epochs: int) -> None:
    """Draws the permutations of finished epochs; a fresh sampler would repeat the first epoch's order."""
    if sampler.shuffle:
        for _ in range(epochs):
            torch.randperm(sampler.num_samples, generator=sampler.generator)


def newest_whole(folder: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint with the highest step that is whole; None if there is none.

    Args:
        say: takes a line about each damaged checkpoint that was passed over.

    Raises:
        OSError: one cannot be read, and so may be whole.
    """
    for path in reversed(_checkpoints(folder)):
        wrong = damage(path) or _not_a_checkpoint(path)
        if wrong is None:
            return path
        say(f"{path} is damaged and passed over: {wrong}")
    return None


def _missing(folder: Path, processes: int) -> str | None:
    """What a checkpoint cannot do without and a folder does not hold; None where it holds everything."""
    names = [path.name for path in folder.iterdir()]
    wanted = [TRAINER_STATE_NAME, *(_state_file(folder, rank).name for rank in range(processes))]
    lacking = [name for name in wanted if name not in names]
    if not any(_WEIGHTS.match(name) for name in names):
        lacking.append("a file of weights")
    return lacking[0] if lacking else None


def _not_a_checkpoint(folder: Path) -> str | None:
    """Why a folder whose files are as they were written is no checkpoint of the step that its name says."""
    if missing := _missing(folder, 1):  # how many ranks there were, the state of the first one says
        return f"{missing} is missing"
    try:
        step = read_object(folder / TRAINER_STATE_NAME, {"global_step": int})["global_step"]
    except ValueError as error:
        return str(error)
    if step != checkpoint_step(folder):
        return f"it is the checkpoint of step {step}"
    broken = next((path.name for path in sorted(folder.iterdir()) if not _has_its_frame(path)), None)
    return None if broken is None else f"{broken} is not what was written"


def _has_its_frame(path: Path) -> bool:
    """Whether a file of tensors begins and ends as one: what is seen of damage where an older list has no checksums."""
    if path.suffix in (".pt", ".pth", ".bin"):
        return is_zipfile(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt"):
                return True
        except (OSError, SafetensorError):
            return False
    return True


def _checkpoints(folder: Path) -> list[Path]:
    """By step. A file or a link of such a name is not ours."""
    named = (path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if checkpoint_step(path) is not None)
    ours = (path for path in named if path.is_dir() and not path.is_symlink())
    return sorted(ours, key=lambda path: checkpoint_step(path) or 0)


def _drop_old(trainer: GRPOTrainer, keep: Path) -> None:
    """As transformers does, but by step, since a clock may be set back, and never counting a damaged one.

    One that cannot be read stays: it may be whole.
    """
    limit = trainer.args.save_total_limit
    if limit is None or limit <= 0:
        return
    paths = _checkpoints(keep.parent)
    whole, kept = [], {keep}
    for path in paths:
        try:
            if path != keep and damage(path, contents=False) is None:
                whole.append(path)
        except OSError:
            kept.add(path)
    kept |= set(whole[::-1][: limit - 1])
    if trainer.state.best_model_checkpoint is not None:
        kept.add(Path(trainer.state.best_model_checkpoint))
    for path in paths:
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)
