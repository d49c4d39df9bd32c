"""What a policy does on the numbers world: pass@k, boxes, different solutions, spread of OGER's bonus, strategies.

python -m oger.worlds.numbers.measure FOLDER SPLIT [--problems N] [--samples K] [--seed S]
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from oger.encoders.ngram import NgramEncoder
from oger.evaluation.statistics.accuracy import pass_at_k
from oger.method.divergence import teacher_divergence
from oger.method.reward import exploration_reward
from oger.terminal.plain import say
from oger.worlds.numbers.classify import SORTS, strategy_of
from oger.worlds.numbers.world import NumbersWorld

GROUP = 8
"""Rollouts of a group, as in training."""
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Sample:
    """One response at temperature 1."""

    text: str
    last_entropy: float
    """Nats, of the distribution that the last token was drawn from."""
    num_tokens: int


@torch.no_grad()
def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    num_samples: int,
    max_new_tokens: int,
    seed: int,
) -> list[list[Sample]]:
    """`num_samples` responses to each prompt. Prompts of one length go together, and finished rows leave the batch."""
    ids = tokenizer(list(prompts))["input_ids"]
    jobs = sorted((len(ids[place]), place) for place in range(len(ids)) for _ in range(num_samples))
    made: list[list[Sample]] = [[] for _ in prompts]
    generator = torch.Generator().manual_seed(seed)
    for length in sorted({length for length, _ in jobs}):
        places = [place for job_length, place in jobs if job_length == length]
        for start in range(0, len(places), _ROWS_AT_ONCE):
            batch = places[start : start + _ROWS_AT_ONCE]
            prompts_BT = torch.tensor([ids[place] for place in batch])
            for place, (tokens, entropy) in zip(
                batch,
                _continue(model, prompts_BT, max_new_tokens, int(tokenizer.eos_token_id), generator),
                strict=True,
            ):
                text = str(tokenizer.decode(tokens, skip_special_tokens=True))
                made[place].append(Sample(text, entropy, len(tokens)))
    return made


def _continue(
    model: PreTrainedModel, prompts_BT: torch.Tensor, max_new_tokens: int, eos: int, generator: torch.Generator
) -> list[tuple[list[int], float]]:
    """Tokens drawn after each prompt, EOS among them, and the entropy of the last draw."""
    drawn: list[list[int]] = [[] for _ in prompts_BT]
    entropies = [0.0] * len(drawn)
    alive = list(range(len(drawn)))
    cache, step_BT = DynamicCache(), prompts_BT
    for _ in range(max_new_tokens):
        logits_BV = model(input_ids=step_BT, past_key_values=cache, logits_to_keep=1).logits[:, -1]
        log_probs_BV = logits_BV.log_softmax(-1)
        probs_BV = log_probs_BV.exp()
        token_B = torch.multinomial(probs_BV, 1, generator=generator)
        entropy_B = -(probs_BV * log_probs_BV).sum(-1)
        for row, token, entropy in zip(alive, token_B[:, 0].tolist(), entropy_B.tolist(), strict=True):
            drawn[row].append(token)
            entropies[row] = entropy
        going = [index for index, row in enumerate(alive) if drawn[row][-1] != eos]
        if not going:
            break
        if len(going) < len(alive):
            cache.batch_select_indices(torch.tensor(going))
            token_B, alive = token_B[going], [alive[index] for index in going]
        step_BT = token_B
    return list(zip(drawn, entropies, strict=True))


@dataclass(frozen=True)
class Measures:
    """Of one policy on one set of rows; shares in 0..1."""

    num_problems: int
    num_samples: int
    pass_at: dict[str, float]
    """By k, over all problems; and pass@1 of each family."""
    unboxed: float
    """Responses without a box."""
    truncated: float
    """Responses that the limit of tokens cut off."""
    distinct: float
    """Different texts among the correct responses of a group, over groups with two or more."""
    bonus_std: float
    """Standard deviation of OGER's bonus among the correct responses of a group, mean over groups with two or more."""
    distinct_correct: float
    """Different correct expressions of a problem."""
    sorts: dict[str, float]
    """Shares of the correct responses by strategy."""
    mean_tokens: float


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, Any]],
    *,
    num_samples: int,
    max_new_tokens: int,
    seed: int,
) -> Measures:
    """Sample and judge by the rules of the game, which are stricter than reasoning-gym's scorer."""
    prompts = [row["prompt"] for row in rows]
    samples = sample(model, tokenizer, prompts, num_samples=num_samples, max_new_tokens=max_new_tokens, seed=seed)
    encoder = NgramEncoder()
    sorts: Counter[str] = Counter()
    right: list[list[bool]] = []
    distinct, bonus_stds, expressions = [], [], 0
    for row, made in zip(rows, samples, strict=True):
        task = json.loads(row["metadata"])["metadata"]
        found = [strategy_of(response.text, task["numbers"], task["target"]) for response in made]
        right.append([sort is not None for sort in found])
        sorts.update(sort for sort in found if sort)
        texts = [response.text for response, sort in zip(made, found, strict=True) if sort]
        expressions += len({text.split("\\boxed{")[-1] for text in texts})
        for start in range(0, num_samples - GROUP + 1, GROUP):
            group = [
                r for r, sort in zip(made[start : start + GROUP], found[start : start + GROUP], strict=True) if sort
            ]
            if len(group) < 2:
                continue
            distinct.append(len({response.text for response in group}) / len(group))
            if row["teachers"]:
                bonus_stds.append(_bonus(encoder, group, row["teachers"]).std(correction=0).item())
    everything = [response for made in samples for response in made]
    count = len(everything)
    passed = {
        str(k): sum(pass_at_k(num_samples, sum(of), k) for of in right) / len(right)
        for k in (1, 8, 32, 64)
        if k <= num_samples
    }
    for family in sorted({row["family"] for row in rows}):
        of_family = [of for row, of in zip(rows, right, strict=True) if row["family"] == family]
        passed[family] = sum(map(sum, of_family)) / (num_samples * len(of_family))
    return Measures(
        num_problems=len(rows),
        num_samples=num_samples,
        pass_at=passed,
        unboxed=sum("\\boxed{" not in response.text for response in everything) / count,
        truncated=sum(response.num_tokens == max_new_tokens for response in everything) / count,
        distinct=_mean(distinct),
        bonus_std=_mean(bonus_stds),
        distinct_correct=expressions / len(rows),
        sorts={sort: sorts[sort] / max(1, sorts.total()) for sort in SORTS},
        mean_tokens=sum(response.num_tokens for response in everything) / count,
    )


def _bonus(encoder: NgramEncoder, correct: Sequence[Sample], teachers: Sequence[Mapping[str, Any]]) -> torch.Tensor:
    """OGER's bonus D exp(-H_last) of correct responses."""
    divergence_G = teacher_divergence(
        encoder.encode([response.text for response in correct]), encoder.encode([item["text"] for item in teachers])
    )
    confidence_G = torch.tensor([-response.last_entropy for response in correct]).exp()
    return exploration_reward(torch.ones(len(correct)), divergence_G, confidence_G, torch.zeros(len(correct)).bool())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m oger.worlds.numbers.measure", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="policy and tokenizer in transformers format")
    parser.add_argument("split")
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    world = NumbersWorld()
    measures = measure(
        AutoModelForCausalLM.from_pretrained(options.folder),
        AutoTokenizer.from_pretrained(options.folder),
        world.raw_trajectories(options.split, limit=options.problems),
        num_samples=options.samples,
        max_new_tokens=world.max_completion_length_of(options.split),
        seed=options.seed,
    )
    say(json.dumps(asdict(measures), indent=1))


if __name__ == "__main__":
    main()
