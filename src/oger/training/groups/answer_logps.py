"""Where the answer stands among a rollout's tokens, and how likely the policy finds the gold answer after a teacher."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from trl.models.utils import disable_gradient_checkpointing
from trl.trainer.utils import pad

from oger.method.confidence import REDUCTIONS
from oger.method.hybrid_group import CHOICES
from oger.teachers.table.column import COLUMN
from oger.training.batch import HybridTensors, Rollouts
from oger.verification.formats import extract_answer

if TYPE_CHECKING:
    from oger.training.config import OGERConfig
    from oger.training.trainer import OGERTrainer

_BOX = "\\boxed{"


def answer_spans(rollouts: Rollouts, tensors: HybridTensors, tokenizer: Any, args: OGERConfig) -> torch.Tensor | None:
    """True on the tokens of each online row's boxed answer, (N, T); None unless the run's entropy reduction needs it.

    A row without an answer, or whose teacher took its place, is all False.
    """
    if not REDUCTIONS[args.entropy_reduction].needs_span:
        return None
    span_NT = torch.zeros_like(tensors.completion_ids_NT, dtype=torch.bool)
    for row, ids in enumerate(rollouts.completion_ids):
        if not tensors.offline_N[row]:
            start, end = answer_tokens(ids, tokenizer)
            span_NT[row, start:end] = True
    return span_NT


def answer_tokens(ids: Sequence[int], tokenizer: Any) -> tuple[int, int]:
    """First token of the boxed answer and the one after its last; (0, 0) where there is none."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    answer = extract_answer(text)
    if not answer:
        return 0, 0
    begins = text.rfind(answer)
    stops = begins + len(answer)
    ends = _token_ends(ids, tokenizer, text)
    past = bisect_right(ends, stops)  # tokens that end with the answer, the last bytes of its last character included
    return bisect_right(ends, begins), past if ends[past - 1] == stops else past + 1


def _token_ends(ids: Sequence[int], tokenizer: Any, text: str) -> list[int]:
    """For each token, the number of characters of `text` that it and the tokens before it make."""
    pieces = tokenizer.batch_decode([[token] for token in ids], skip_special_tokens=True)
    if "".join(pieces) == text:
        return list(accumulate(len(piece) for piece in pieces))
    # Characters that are split over tokens, or blanks that a decoder adds: ask for every prefix.
    return [len(tokenizer.decode(ids[: count + 1], skip_special_tokens=True)) for count in range(len(ids))]


def answer_logps(
    trainer: OGERTrainer, inputs: Sequence[Mapping[str, Any]], rollouts: Rollouts
) -> list[torch.Tensor] | None:
    """Per group, (M,): log-probability of the gold answer, boxed, after each teacher's reasoning; None unless needed.

    The reasoning is the teacher's text up to the content of its last box, or the whole text and an opened box. Every
    rank makes the same number of forwards, since a sharded policy gathers its weights in each.
    """
    if "answer_logp_M" not in CHOICES[trainer.args.teacher_choice].needs:
        return None
    size, tokenizer = trainer.num_generations, trainer._tokenizer

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    prefixes, answers, counts = [], [], []
    for start in range(0, len(inputs), size):
        teachers = inputs[start].get(COLUMN) or []
        counts.append(len(teachers))
        for teacher in teachers:
            prefixes.append(rollouts.prompt_ids[start] + tokens(reasoning_before_answer(teacher["text"])))
            answers.append(tokens(str(inputs[start]["answer"])))
    logps = _batched(trainer, prefixes, answers)
    return [part.cpu() for part in logps.split(counts)]


def reasoning_before_answer(text: str) -> str:
    r"""The text up to and with the "\boxed{" of its last boxed answer; with one added at its end where it has none."""
    answer = extract_answer(text)
    if not answer:
        return f"{text}\n{_BOX}"
    return text[: text.rfind(answer)]


def _batched(trainer: OGERTrainer, prefixes: list[list[int]], answers: list[list[int]]) -> torch.Tensor:
    device = trainer.accelerator.device
    asked = len(prefixes)
    most = int(trainer.accelerator.gather(torch.tensor([asked], device=device)).max())
    if most == 0:
        return torch.zeros(0)
    filler = [trainer._tokenizer.eos_token_id]
    prefixes = prefixes + [filler] * (most - asked)
    answers = answers + [filler] * (most - asked)

    def padded(rows: list[list[int]], value: int, side: str) -> torch.Tensor:
        return pad([torch.tensor(row, dtype=torch.long) for row in rows], padding_value=value, padding_side=side)

    pad_id = trainer._tokenizer.pad_token_id
    ids = torch.cat([padded(prefixes, pad_id, "left"), padded(answers, pad_id, "right")], dim=1).to(device)
    ones = [[[1] * len(row) for row in rows] for rows in (prefixes, answers)]
    mask = torch.cat([padded(ones[0], 0, "left"), padded(ones[1], 0, "right")], dim=1).to(device)
    longest = max(map(len, answers))
    args = trainer.args
    with torch.no_grad(), disable_gradient_checkpointing(trainer.model, args.gradient_checkpointing_kwargs):
        logps_MT, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, longest, batch_size=args.per_device_train_batch_size
        )
    return torch.where(mask[:, -longest:].bool(), logps_MT, 0.0).sum(dim=1)[:asked]
