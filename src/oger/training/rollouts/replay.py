"""Recorded rollout batches: what generation returned, kept exactly, and taken back instead of generating.

RUN/batches/batch-NNNNNN.parquet, one file per rollout batch of a run with `rollouts=record`: a row per rollout of all
processes, in the order of the batch (the G rows of a group together, the groups of rank 0 first). A run with
`rollouts=replay:PATH` trains on them; each rank takes its share by the layout in which TRL deals out prompts, so that
any number of processes trains on the same rows. What another engine, machine or layout makes of one batch can then be
compared: processes that sample draw different random numbers.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from accelerate.utils import gather_object
from datasets import Dataset

from oger.words import choose

if TYPE_CHECKING:
    from trl import GRPOTrainer

    from oger.training.trainer import OGERTrainer

FOLDER_NAME = "batches"
"""Folder of the files inside a run folder."""

SCHEMA = pa.schema(
    [
        pa.field("batch", pa.int32(), nullable=False),  # number of the rollout batch within its run, from 1
        pa.field("row", pa.int32(), nullable=False),  # place in the batch of all processes
        pa.field("prompt", pa.string(), nullable=False),  # a chat prompt as JSON
        pa.field("prompt_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("completion_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("token_mask", pa.list_(pa.int8())),  # 0 on tokens that a rollout function put in; null = all sampled
        pa.field("sampling_logps", pa.list_(pa.float64())),  # as the engine reported them; null = it reported none
    ]
)
_VERSION = "1"
_REPLAY = "replay:"


def check_rollouts(value: Any) -> None:
    """Raises ValueError unless the option `rollouts` is generate, record, or replay: with a path."""
    if not isinstance(value, str) or value == _REPLAY:
        raise ValueError(f"rollouts={value!r} must be generate, record or replay:PATH (a run folder, or a file).")
    if not value.startswith(_REPLAY):
        choose(dict.fromkeys(("generate", "record", "replay:PATH")), value, "rollouts")


def replayed_path(rollouts: str) -> Path | None:
    """PATH of rollouts=replay:PATH, else None."""
    return Path(rollouts.removeprefix(_REPLAY)).expanduser() if rollouts.startswith(_REPLAY) else None


def record_batch(trainer: OGERTrainer, prompts: Sequence[Any], generated: Sequence[Any]) -> None:
    """Writes the rollout batch that all ranks have generated, whole or not at all; every rank must call it.

    Args:
        trainer: the run.
        prompts: this rank's, one per rollout.
        generated: what `GRPOTrainer._generate` returned.

    Raises:
        ValueError: if a rollout function hands fields to the rewards, which a record does not hold.
    """
    prompt_ids, completion_ids, token_masks, _, logps, extra_fields, *_ = generated
    if extra_fields:
        raise ValueError(
            f"rollouts=record does not hold what the rollout function hands to rewards ({', '.join(extra_fields)}): "
            "set rollouts=generate."
        )
    nothing = [None] * len(prompts)
    columns = (
        [_text(prompt) for prompt in prompts],
        prompt_ids,
        completion_ids,
        token_masks or nothing,
        logps or nothing,
    )
    rows = gather_object(list(zip(*columns, strict=True)))
    if not trainer.accelerator.is_main_process:
        return
    number = batch_number(trainer)
    table = pa.Table.from_pylist(
        [
            {"batch": number, "row": row} | dict(zip(SCHEMA.names[2:], values, strict=True))
            for row, values in enumerate(rows)
        ],
        schema=SCHEMA.with_metadata(_origin(trainer)),
    )
    path = Path(trainer.args.record_dir or trainer.args.output_dir) / FOLDER_NAME / f"batch-{number:06d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)
    os.replace(temporary, path)


def batch_number(trainer: OGERTrainer) -> int:
    """Number of the rollout batch that the run generates now, from 1; a resumed run goes on counting."""
    return trainer._step // (trainer.args.steps_per_generation * trainer.num_iterations) + 1


class Replay:
    """Recorded batches, compared with the run that asks for them before anything is trained.

    Args:
        path: a run folder with the folder batches/, or one Parquet file with any number of batches.
        trainer: the run, constructed.

    Raises:
        FileNotFoundError: if nothing is recorded there.
        ValueError: if a file is damaged, or was recorded by a run of another tokenizer, group size, batch size or
            prompts, or holds fewer batches than `max_steps` needs.
    """

    def __init__(self, path: Path, trainer: OGERTrainer) -> None:
        self._path = path
        self._trainer = trainer
        files = [path] if path.is_file() else sorted((path / FOLDER_NAME).glob("batch-*.parquet"))
        if not files:
            raise FileNotFoundError(
                f"rollouts: {path} is neither a run with recorded batches nor a file of them: make one with "
                "rollouts=record."
            )
        self._files: dict[int, Path] = {}
        origin = _origin(trainer)
        for file in files:
            self._check_origin(file, origin)
            sizes = Counter(_read(file, columns=["batch"])["batch"].to_pylist())
            for number, size in sizes.items():
                self._check_size(file, number, size)
                self._files[number] = file
        args = trainer.args
        if args.max_steps > 0:
            micro_steps = args.max_steps * args.gradient_accumulation_steps
            self._check_number(-(-micro_steps // (args.steps_per_generation * trainer.num_iterations)))
        if isinstance(trainer.train_dataset, Dataset):  # the first batch, before a policy is evaluated for minutes
            indices = islice(trainer._get_train_sampler(), args.generation_batch_size)
            first = self._rows(1, [trainer.train_dataset[index]["prompt"] for index in indices], first_row=0)
            corrects = trainer.use_vllm and trainer.vllm_importance_sampling_correction
            if corrects and first["sampling_logps"].null_count:
                raise ValueError(
                    f"{path} holds no log-probabilities of the engine that sampled: set "
                    "vllm_importance_sampling_correction=false."
                )

    @contextmanager
    def in_place_of_generation(self) -> Iterator[None]:
        """While it lasts, the trainer gets recorded rollouts from its generation."""
        self._trainer.rollout_func = self._rollout_function
        try:
            yield
        finally:
            self._trainer.rollout_func = None

    def _rollout_function(self, prompts: Sequence[Any], _: GRPOTrainer) -> dict[str, Any]:
        """This rank's share of the current batch, as TRL's `rollout_func` returns it."""
        number = batch_number(self._trainer)
        self._check_number(number)
        table = self._rows(number, prompts, first_row=self._trainer.accelerator.process_index * len(prompts))
        output = {name: table[name].to_pylist() for name in ("prompt_ids", "completion_ids")}
        output["logprobs"] = None if table["sampling_logps"].null_count else table["sampling_logps"].to_pylist()
        if not table["token_mask"].null_count:
            output["env_mask"] = table["token_mask"].to_pylist()
        return output

    def _rows(self, number: int, prompts: Sequence[Any], *, first_row: int) -> pa.Table:
        file = self._files[number]
        table = _read(file, filters=[("batch", "=", number)]).sort_by("row")
        if table["row"].to_pylist() != list(range(len(table))):
            raise ValueError(f"{file}: rows of batch {number} are missing or doubled: record it again.")
        table = table.slice(first_row, len(prompts))
        for row, (mine, recorded) in enumerate(zip(prompts, table["prompt"].to_pylist(), strict=True), start=first_row):
            if _text(mine) != recorded:
                raise ValueError(
                    f"{file}: row {row} of batch {number} is a rollout to {_short(recorded)}, where this run asks "
                    f"{_short(_text(mine))}: replay it with the training set, seed and options that it was recorded "
                    "with."
                )
        return table

    def _check_origin(self, file: Path, origin: Mapping[str, str]) -> None:
        found = {key.decode(): value.decode() for key, value in (_schema(file).metadata or {}).items()}
        for key, value in origin.items():
            if found.get(key) != value:
                raise ValueError(
                    f"{file} was recorded with {_NAMES[key]} {found.get(key, 'unknown')}, and this run has {value}: "
                    "replay it as it was recorded."
                )

    def _check_size(self, file: Path, number: int, size: int) -> None:
        args = self._trainer.args
        if size != args.generation_batch_size:
            raise ValueError(
                f"{file}: batch {number} has {size} rollouts, and this run asks for {args.generation_batch_size}: "
                f"per_device_train_batch_size x steps_per_generation x processes must be {size}."
            )

    def _check_number(self, number: int) -> None:
        if missing := sorted(set(range(1, number + 1)) - set(self._files)):
            raise ValueError(
                f"{self._path} does not hold batch {missing[0]} of the {number} that this run needs: lower max_steps, "
                "or record more."
            )


_NAMES = {"oger.batches.version": "format", "group_size": "num_generations", "tokenizer": "tokenizer"}


def _origin(trainer: OGERTrainer) -> dict[str, str]:
    """What a recorded batch and the run that replays it must have in common, beside the prompts."""
    vocabulary = json.dumps(sorted(trainer._tokenizer.get_vocab().items()))
    digest = hashlib.blake2b(vocabulary.encode(), digest_size=8).hexdigest()
    values = _VERSION, str(trainer.num_generations), digest
    return dict(zip(_NAMES, values, strict=True))


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from error


def _read(file: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(file, schema=SCHEMA, page_checksum_verification=True, **options)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is damaged or no recorded batch ({' '.join(str(error).split())}): record it again.")


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
