"""A policy on a set of problems: sampled, verified, summarised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oger.evaluation.backends.transformers import Prompt, Response, sample_responses
from oger.evaluation.statistics.accuracy import outcome_matrix, summarize
from oger.verification.rewards import accuracy_reward

OutcomeReward = Callable[..., Sequence[float | None]]
"""Called as a TRL reward function: prompts, completions and one list per column; 1.0, 0.0 or None per row."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Outcome of one evaluation; rows are problems, columns the samples of each."""

    outcomes: NDArray[np.float64]
    """Shape (problems, samples): 1 correct, 0 wrong, NaN undecided."""
    responses: tuple[tuple[Response, ...], ...]
    prompts: tuple[Prompt, ...]
    families: tuple[str, ...]
    """Family of each problem; "" where the rows name none."""

    def summary(self, *, k: int = 8, seed: int = 0) -> dict[str, Any]:
        """`statistics.summarize` of all problems, with the mean length in tokens and the share of truncated samples."""
        responses = [response for row in self.responses for response in row]
        return {
            **summarize(self.outcomes, k=k, seed=seed),
            "length": float(np.mean([response.num_tokens for response in responses])),
            "truncated_share": float(np.mean([response.truncated for response in responses])),
        }

    def summary_by_family(self, *, k: int = 8, seed: int = 0) -> dict[str, dict[str, Any]]:
        """`summary` of each family, in alphabetical order."""
        return {family: self.of_family(family).summary(k=k, seed=seed) for family in sorted(set(self.families))}

    def of_family(self, family: str) -> Evaluation:
        """The problems of one family."""
        rows = [row for row, name in enumerate(self.families) if name == family]
        if not rows:
            raise ValueError(f"no problem of the family {family!r}; families: {sorted(set(self.families))}")
        return Evaluation(
            outcomes=self.outcomes[rows],
            responses=tuple(self.responses[row] for row in rows),
            prompts=tuple(self.prompts[row] for row in rows),
            families=tuple(self.families[row] for row in rows),
        )


def evaluate_policy(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Mapping[str, Any]],
    *,
    num_samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    batch_size: int = 256,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    outcome_reward: OutcomeReward = accuracy_reward,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Sample `num_samples` responses to each row's prompt and verify each one.

    Args:
        rows: mappings with "prompt" and the columns that the verifier reads ("answer" and, where known, "kind" and
            "metadata" for the default one), and where known "family".
        outcome_reward: verifier, called as TRL calls it.
        chat_template_kwargs: as in training.

    Raises:
        ValueError: no rows, a row without prompt or answer, or what `sample_responses` refuses.
    """
    check_rows(rows, outcome_reward)
    prompts = [row["prompt"] for row in rows]
    responses = sample_responses(
        model,
        tokenizer,
        prompts,
        num_samples=num_samples,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        chat_template_kwargs=chat_template_kwargs,
    )
    return Evaluation(
        outcomes=_verify(outcome_reward, rows, responses),
        responses=tuple(tuple(row) for row in responses),
        prompts=tuple(prompts),
        families=tuple(str(row.get("family") or "") for row in rows),
    )


def check_rows(rows: Sequence[Mapping[str, Any]], outcome_reward: OutcomeReward) -> None:
    """Raises ValueError if there are no rows, or one lacks what the prompt or the verifier needs."""
    if not rows:
        raise ValueError("nothing to evaluate: the data set is empty")
    needed = ("prompt", *getattr(outcome_reward, "needed_columns", ()))
    for index, row in enumerate(rows):
        missing = [column for column in needed if row.get(column) is None]
        if missing:
            raise ValueError(f"row {index} has no {' and no '.join(missing)}; its columns: {', '.join(sorted(row))}")


def _verify(
    reward: OutcomeReward, rows: Sequence[Mapping[str, Any]], responses: Sequence[Sequence[Response]]
) -> NDArray[np.float64]:
    """Outcomes (problems, samples); a reward of 1 or more is correct, None or NaN undecided."""
    columns = {column for row in rows for column in row} - {"prompt", "completion", "teachers"}
    flat = [(row, response) for row, samples in zip(rows, responses, strict=True) for response in samples]
    rewards = reward(
        prompts=[row["prompt"] for row, _ in flat],
        completions=[_completion(row["prompt"], response.text) for row, response in flat],
        **{column: [row.get(column) for row, _ in flat] for column in columns},
    )
    outcomes = [None if reward is None or math.isnan(reward) else float(reward >= 1.0) for reward in rewards]
    num_samples = len(responses[0])
    return outcome_matrix([outcomes[start : start + num_samples] for start in range(0, len(outcomes), num_samples)])


def _completion(prompt: Prompt, text: str) -> str | list[dict[str, str]]:
    """The completion in the form of its prompt, as TRL hands it to a reward function."""
    return text if isinstance(prompt, str) else [{"role": "assistant", "content": text}]
