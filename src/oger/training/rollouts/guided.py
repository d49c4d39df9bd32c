"""Rollouts that begin with the first part of a teacher trajectory; how much is given is `oger.method.guidance`."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import torch
from accelerate.utils import gather_object

from oger.method.guidance import Visit, given_share, next_level
from oger.seeds import derived_seed
from oger.teachers.table.column import COLUMN
from oger.training.batch import groups
from oger.training.step import StepContext
from oger.training.tokens import token_ends

_STEP_ENDS = (re.compile(r"\n+"), re.compile(r"(?<=[.!?])\s+"), re.compile(r"\s+"))
"""What ends a step: of these, the first that occurs in the text."""


class Guidance:
    """What the visits of each prompt have taught: its level of guidance. Every rank knows all of it."""

    def __init__(self) -> None:
        self._levels: dict[str, int] = {}

    def choose(self, context: StepContext, inputs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
        """Tokens that each row of the batch is given, most often none; the seed, the step and the prompt fix them."""
        args = context.args
        given: list[list[int]] = [[] for _ in inputs]
        for rows, visit in groups(inputs, context.group_size):
            example = inputs[rows.start]
            teachers = [teacher for teacher in example.get(COLUMN) or [] if teacher["verdict"] in (None, 1.0)]
            level = self._levels.get(_key(example), 0)
            rng = Random(derived_seed(args.seed, "guided", context.step, example["prompt"], visit))
            asked = args.guided_prompts == "always" or level > 0
            if not teachers or not asked or rng.random() >= args.guided_share:
                continue
            share = given_share(
                Visit(drawn=rng.random(), progress=context.progress, level=max(level, 1)),
                length=args.guided_length,
                shortest=args.guided_shortest,
                longest=args.guided_longest,
            )
            ids = _beginning(context, rng.choice(teachers)["text"], share)
            first = rows.stop - (context.group_size if args.guided_rows is None else args.guided_rows)
            given[first : rows.stop] = [ids] * (rows.stop - first)
        return given

    def learn(
        self,
        context: StepContext,
        inputs: Sequence[Mapping[str, Any]],
        given: Sequence[Sequence[int]],
        outcome_N: torch.Tensor,
    ) -> None:
        """Takes the outcomes of a batch; every rank must call it."""
        correct = (outcome_N == 1).tolist()
        seen = []
        for rows, _ in groups(inputs, context.group_size):
            alone = any(right and not ids for right, ids in zip(correct[rows], given[rows], strict=True))
            seen.append((_key(inputs[rows.start]), alone, any(correct[rows])))
        for key, alone, solved in gather_object(seen):
            self._levels[key] = next_level(self._levels.get(key, 0), solved_alone=alone, solved=solved)

    def state_dict(self) -> dict[str, int]:
        """The levels, for a checkpoint."""
        return dict(self._levels)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Restores what `state_dict` gave."""
        self._levels = dict(state)


def _key(example: Mapping[str, Any]) -> str:
    return hashlib.blake2b(repr(example["prompt"]).encode(), digest_size=8).hexdigest()


def _beginning(context: StepContext, text: str, share: float) -> list[int]:
    """The first tokens of a turn, about `share` of them; at least one token of a response is left to the policy."""
    ids = context.turn.token_ids(text)[: -len(context.turn.end_ids)]
    count = int(share * len(ids))
    if context.args.guided_cut == "steps":
        ends = token_ends(ids, context.tokenizer)
        count = _step_end(text, ends, count)
    return ids[: min(count, context.args.max_completion_length - 1)]


def _step_end(text: str, ends: Sequence[int], count: int) -> int:
    """Number of tokens up to the last end of a step within the first `count`, or to the first end; 0 without one.

    Args:
        ends: characters that each token and those before it make.
    """
    text = text.rstrip()
    matches = next((found for pattern in _STEP_ENDS if (found := list(pattern.finditer(text)))), [])
    stops = {bisect_right(ends, match.end()) for match in matches} - {0, len(ends)}
    return max((stop for stop in stops if stop <= count), default=min(stops, default=0))
