"""Embeddings of one rollout batch: made once per text, and only when something asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from oger.encoders.base import Encoder
from oger.method.divergence import teacher_divergence
from oger.teachers.table.column import COLUMN
from oger.training.loop.nonfinite import RowFaults


@dataclass(eq=False)
class BatchVectors:
    """Unit vectors of the online rollouts of a batch and of their prompts' teachers."""

    inputs: Sequence[Mapping[str, Any]]
    """Rows of the batch; the `size` rows of a group stand together and share their teachers."""
    texts: Sequence[str]
    """The online rollouts, one per row."""
    encoder: Encoder
    """Of the rollouts."""
    teacher_encoder: Encoder
    """The same one, with a cache in front of it where the run has one."""
    size: int
    """G."""
    device: torch.device
    """Where the vectors are used."""
    faults: RowFaults
    """Notes the rows whose vector is not finite; zeros take its place."""

    @cached_property
    def _teachers(self) -> list[Sequence[Mapping[str, Any]]]:
        """Of each group."""
        return [self.inputs[start].get(COLUMN) or [] for start in range(0, len(self.inputs), self.size)]

    @cached_property
    def _online_NE(self) -> torch.Tensor:
        return self.faults.take_out("embedding", self.encoder.encode(self.texts).to(self.device))

    @cached_property
    def _teacher_GME(self) -> list[torch.Tensor]:
        """Per group, (M, E)."""
        texts = [teacher["text"] for group in self._teachers for teacher in group]
        if not texts:
            return [self._online_NE[:0] for _ in self._teachers]
        vectors = self.teacher_encoder.encode(texts).to(self.device)
        return list(vectors.split([len(group) for group in self._teachers]))

    def has_teachers(self, group: int) -> bool:
        """Whether the prompt of that group has any."""
        return bool(self._teachers[group])

    def divergence(self, *, aggregation: str, scale: str) -> torch.Tensor:
        """Divergence of every online row from its prompt's teachers, (N,); 0 where a prompt has none."""
        if not any(self._teachers):
            return torch.zeros(len(self.texts), device=self.device)
        return torch.cat(
            [
                teacher_divergence(online_GE, teacher_ME, aggregation=aggregation, scale=scale)
                for online_GE, teacher_ME in zip(self._online_NE.split(self.size), self._teacher_GME, strict=True)
            ]
        )

    def of_group(self, group: int, replaced: Sequence[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """(G, E) vectors of a hybrid group's rows, and (M, E) of all its teachers.

        Args:
            replaced: (row within the group, number of the teacher trajectory that takes its place).
        """
        start = group * self.size
        rows_GE = self._online_NE[start : start + self.size].clone()
        for row, index in replaced:
            rows_GE[row] = self._teacher_GME[group][index]
        return rows_GE, self._teacher_GME[group]
