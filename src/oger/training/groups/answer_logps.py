"""How likely the policy finds the gold answer after each teacher's reasoning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from trl.models.utils import disable_gradient_checkpointing

from oger.method.hybrid_group import CHOICES
from oger.teachers.table.column import COLUMN
from oger.training.batch import mask_rows, pad_rows
from oger.training.step import StepContext
from oger.verification.formats import extract_span, stated_answer

_BOX = "\\boxed{"


def answer_logps(
    context: StepContext, inputs: Sequence[Mapping[str, Any]], prompt_ids: Sequence[list[int]]
) -> list[torch.Tensor] | None:
    """Per group, (M,): log-probability of the gold answer after each teacher's reasoning; None unless needed.

    Every rank makes the same number of forwards, since a sharded policy gathers its weights in each.
    """
    if "answer_logp_M" not in CHOICES[context.args.teacher_choice].needs:
        return None
    tokenizer = context.tokenizer

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    prefixes, answers, counts = [], [], []
    for start in range(0, len(inputs), context.group_size):
        teachers = inputs[start].get(COLUMN) or []
        counts.append(len(teachers))
        for teacher in teachers:
            prefixes.append(prompt_ids[start] + tokens(reasoning_before_answer(teacher["text"], context.answer_rules)))
            answers.append(tokens(str(inputs[start]["answer"])))
    logps = _batched(context, prefixes, answers)
    return [part.cpu() for part in logps.split(counts)]


def reasoning_before_answer(text: str, rules: Sequence[str] | None = None) -> str:
    r"""A teacher's text up to its answer, with the "\boxed{" that it may stand in.

    Args:
        rules: by which the outcome reads the answer. Where they find none, or None = it does not say, the answer is
            where the text states one, in a box or otherwise; without a box, one is opened in its place.
    """
    if rules is not None and (found := extract_span(text, rules)):
        return text[: found[0]]
    stated = stated_answer(text)
    if stated is None:
        return f"{text}\n{_BOX}"
    return text[: stated.begins] + ("" if stated.in_box else _BOX)


def _batched(context: StepContext, prefixes: list[list[int]], answers: list[list[int]]) -> torch.Tensor:
    args, device = context.args, context.device
    asked = len(prefixes)
    most = int(context.gather(torch.tensor([asked], device=device)).max())
    if most == 0:
        return torch.zeros(0)
    filler = [context.tokenizer.eos_token_id]
    prefixes = prefixes + [filler] * (most - asked)
    answers = answers + [filler] * (most - asked)
    padded = partial(pad_rows, value=context.tokenizer.pad_token_id, device=device)
    ids = torch.cat([padded(prefixes, left=True), padded(answers)], dim=1)
    mask = torch.cat([mask_rows(prefixes, left=True, device=device), mask_rows(answers, device=device)], dim=1)
    longest = max(map(len, answers))
    with torch.no_grad(), disable_gradient_checkpointing(context.policy, args.gradient_checkpointing_kwargs):
        logps_MT, _, _ = context.score_tokens(
            context.policy, ids, mask, longest, batch_size=args.per_device_train_batch_size
        )
    return torch.where(mask[:, -longest:].bool(), logps_MT, 0.0).sum(dim=1)[:asked]
