"""Recorded rollout batches (`oger.runs.batches`), taken back instead of generating.

A run with `rollouts=replay:PATH` trains on the batches of one with `rollouts=record`; each rank takes its share by the
layout in which TRL deals out prompts, so that any number of processes trains on the same rows. What another engine,
machine or layout makes of one batch can then be compared: processes that sample draw different random numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from accelerate.utils import gather_object

from oger.runs.batches import batch_files, batch_sizes, origin_of, read_batch, write_batch
from oger.runs.rollouts import prompt_text
from oger.training.config import OGERConfig

_VERSION = "1"
_NAMES = {"oger.batches.version": "format", "group_size": "num_generations", "tokenizer": "tokenizer"}


def batch_number(args: OGERConfig, micro_step: int) -> int:
    """Number of the rollout batch that the run generates now, from 1; a resumed run goes on counting."""
    return micro_step // (args.steps_per_generation * args.num_iterations) + 1


def origin(args: OGERConfig, tokenizer: Any) -> dict[str, str]:
    """What a recorded batch and the run that replays it must have in common, beside the prompts."""
    vocabulary = json.dumps(sorted(tokenizer.get_vocab().items()))
    digest = hashlib.blake2b(vocabulary.encode(), digest_size=8).hexdigest()
    return dict(zip(_NAMES, (_VERSION, str(args.num_generations), digest), strict=True))


def record_batch(
    run: Path, number: int, prompts: Sequence[Any], generated: Sequence[Any], made_by: Mapping[str, str], *, main: bool
) -> None:
    """Writes the rollout batch that all ranks have generated; every rank must call it.

    Args:
        prompts: this rank's, one per rollout.
        generated: what `GRPOTrainer._generate` returned.
        made_by: the run's `origin`.
        main: whether this is the process that writes.

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
    texts = [prompt_text(prompt) for prompt in prompts]
    columns = (texts, prompt_ids, completion_ids, token_masks or nothing, logps or nothing)
    rows = gather_object(list(zip(*columns, strict=True)))
    if main:
        write_batch(run, number, rows, made_by)


class Replay:
    """Recorded batches, compared with the run that asks for them before anything is trained.

    Args:
        path: a run folder with the folder batches/, or one Parquet file with any number of batches.
        asked_by: its `origin`.
        first_prompts: of its first rollout batch, all ranks together; None where they are not known yet.

    Raises:
        FileNotFoundError: if nothing is recorded there.
        ValueError: if a file is damaged, or was recorded by a run of another tokenizer, group size, batch size or
            prompts, or holds fewer batches than `max_steps` needs.
    """

    def __init__(
        self, path: Path, args: OGERConfig, asked_by: Mapping[str, str], first_prompts: Sequence[Any] | None
    ) -> None:
        self._path = path
        files = batch_files(path)
        if not files:
            raise FileNotFoundError(
                f"rollouts: {path} is neither a run with recorded batches nor a file of them: make one with "
                "rollouts=record."
            )
        self._files: dict[int, Path] = {}
        for file in files:
            _check_origin(file, asked_by)
            for number, size in batch_sizes(file).items():
                _check_size(file, number, size, args)
                self._files[number] = file
        if args.max_steps > 0:
            micro_steps = args.max_steps * args.gradient_accumulation_steps
            self._check_number(-(-micro_steps // (args.steps_per_generation * args.num_iterations)))
        if first_prompts is not None:  # before a policy is evaluated for minutes
            first = self._rows(1, first_prompts, first_row=0)
            if args.corrects_for_engine and first["sampling_logps"].null_count:
                raise ValueError(
                    f"{path} holds no log-probabilities of the engine that sampled: set "
                    "vllm_importance_sampling_correction=false."
                )

    def rollouts(self, number: int, prompts: Sequence[Any], *, first_row: int) -> dict[str, Any]:
        """A rank's share of a batch, as TRL's `rollout_func` returns it."""
        self._check_number(number)
        table = self._rows(number, prompts, first_row=first_row)
        output = {name: table[name].to_pylist() for name in ("prompt_ids", "completion_ids")}
        output["logprobs"] = None if table["sampling_logps"].null_count else table["sampling_logps"].to_pylist()
        if not table["token_mask"].null_count:
            output["env_mask"] = table["token_mask"].to_pylist()
        return output

    def _rows(self, number: int, prompts: Sequence[Any], *, first_row: int) -> pa.Table:
        file = self._files[number]
        table = read_batch(file, number).slice(first_row, len(prompts))
        for row, (mine, recorded) in enumerate(zip(prompts, table["prompt"].to_pylist(), strict=True), start=first_row):
            if prompt_text(mine) != recorded:
                raise ValueError(
                    f"{file}: row {row} of batch {number} is a rollout to {_short(recorded)}, where this run asks "
                    f"{_short(prompt_text(mine))}: replay it with the training set, seed and options that it was "
                    "recorded with."
                )
        return table

    def _check_number(self, number: int) -> None:
        if missing := sorted(set(range(1, number + 1)) - set(self._files)):
            raise ValueError(
                f"{self._path} does not hold batch {missing[0]} of the {number} that this run needs: lower max_steps, "
                "or record more."
            )


def _check_origin(file: Path, asked_by: Mapping[str, str]) -> None:
    found = origin_of(file)
    for key, value in asked_by.items():
        if found.get(key) != value:
            raise ValueError(
                f"{file} was recorded with {_NAMES[key]} {found.get(key, 'unknown')}, and this run has {value}: "
                "replay it as it was recorded."
            )


def _check_size(file: Path, number: int, size: int, args: OGERConfig) -> None:
    if size != args.generation_batch_size:
        raise ValueError(
            f"{file}: batch {number} has {size} rollouts, and this run asks for {args.generation_batch_size}: "
            f"per_device_train_batch_size x steps_per_generation x processes must be {size}."
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
