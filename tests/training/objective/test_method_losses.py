"""The step loss of every method, from its declaration on rows of the embedded world, against the method's equation.

Everything after sampling is computed a second time, row by row, without padding, by one forward each: which row gives
way, rewards, advantages, the loss of every token and what divides it. Only draws of teachers and verdicts are taken
from the trainer. The numbers below are those of the papers, not read from the declarations.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from trl.trainer.utils import shuffle_sequence_dict, split_tensor_dict

from oger.encoders.registry import create_encoder
from oger.recipes import load_recipe
from oger.recipes.methods import all_methods
from oger.training.batch import ScoredBatch
from oger.training.run.build import build_trainer
from oger.worlds import load_world

PROMPTS, G, LONGEST = 6, 4, 64
IN_A_SUM = 2 / 64
"""What a weight of LUFFY's and HPT's code is here: 64 rows of a GPU do not divide there, two micro-batches add up."""
NOISE, SHARPER = 0.03, 1.5
"""What separates the trained policy from the one that sampled: spread of the weights, factor of the logits. Ratios lie
within and beyond every clip."""


@dataclass
class Row:
    """One row of a group."""

    ids: list[int]
    text: str
    outcome: float
    reward: float = 0.0
    teacher: bool = False
    given: int = 0


@dataclass
class Group:
    """One prompt's rows, and the trajectories of it that are imitated beside them."""

    prompt: dict[str, Any]
    prompt_ids: list[int]
    rows: list[Row] = field(default_factory=list)
    drawn: list[Any] = field(default_factory=list)
    imitated: list[list[int]] = field(default_factory=list)

    @property
    def solved(self) -> bool:
        return any(row.outcome == 1 for row in self.rows if not row.teacher)


@dataclass
class Step:
    """What a step was made of, with the policy that sampled and the one that is trained."""

    groups: list[Group]
    sampler: Any
    policy: Any
    tokenizer: Any
    clipped: Counter[str] = field(default_factory=Counter)

    def trajectory(self, text: str) -> list[int]:
        return [*self.tokenizer(text)["input_ids"], self.tokenizer.eos_token_id]

    def past_logps(self, prefix: list[int], ids: list[int]) -> Tensor:
        with torch.no_grad():
            return log_probs(self.sampler, prefix, ids)


def log_probs(policy: Any, prefix: list[int], ids: list[int]) -> Tensor:
    """(tokens of `ids`, vocabulary)."""
    return policy(torch.tensor([prefix + ids])).logits[0, len(prefix) - 1 : -1].log_softmax(-1)


def of_tokens(logps_TV: Tensor, ids: list[int]) -> Tensor:
    return logps_TV[range(len(ids)), ids]


def vectors(texts: Sequence[str]) -> list[Tensor]:
    encoder = create_encoder("ngram")
    return [encoder.encode([text])[0] for text in texts]


def distance(one: Tensor, other: Tensor) -> float:
    return min(max(1.0 - float(one @ other), 0.0), 1.0)


# --- rows and rewards -------------------------------------------------------------------------------------------------


def plain(step: Step) -> list[Group]:
    for group in step.groups:
        assert not group.drawn
        for row in group.rows:
            row.reward = row.outcome
    return step.groups


def divergences(group: Group) -> list[float]:
    """1 - the mean cosine to all teachers of the prompt."""
    teachers = vectors([teacher["text"] for teacher in group.prompt["teachers"]])
    return [
        sum(distance(mine, teacher) for teacher in teachers) / len(teachers)
        for mine in vectors([row.text for row in group.rows])
    ]


def last_slot(group: Group) -> list[int]:
    return [G - 1]


def most_teacher_like(group: Group, count: int = 1) -> list[int]:
    return sorted(range(G), key=divergences(group).__getitem__)[:count]


def most_teacher_like_of_a_failed_group(group: Group, count: int = 1) -> list[int]:
    return [] if group.solved else most_teacher_like(group, count)


def hybrid(step: Step, slots: Callable[[Group], list[int]], *, bonus: bool = False) -> list[Group]:
    """Rows of each group give way to the teachers that were drawn; correct rollouts may be paid D exp(-H)."""
    for group in step.groups:
        places, paid = slots(group), divergences(group) if bonus else [0.0] * G
        for row, divergence in zip(group.rows, paid, strict=True):
            last = step.past_logps(group.prompt_ids, row.ids)[-1]
            entropy = -(last.exp() * last).sum().item()
            row.reward = row.outcome * (1.0 + divergence * math.exp(-entropy))
        assert sorted(drawn.row % G for drawn in group.drawn) == sorted(places)
        for drawn in group.drawn:
            assert drawn.text == group.prompt["teachers"][drawn.index]["text"]
            group.rows[drawn.row % G] = Row(step.trajectory(drawn.text), drawn.text, 1.0, reward=1.0, teacher=True)
    return step.groups


def best_understood(step: Step) -> None:
    """AMPO's two teachers, the best first: after whose reasoning the gold answer is the likeliest."""
    for group in step.groups:
        if group.drawn:
            answer = step.tokenizer(group.prompt["answer"])["input_ids"]
            chances = []
            for teacher in group.prompt["teachers"]:
                reasoning = step.tokenizer(teacher["text"].rpartition("{")[0] + "{")["input_ids"]
                logps = step.past_logps(group.prompt_ids + reasoning, answer)
                chances.append(of_tokens(logps, answer).sum().item())
            assert [chances[drawn.index] for drawn in group.drawn] == sorted(chances, reverse=True)[:2]


def only_teacher(step: Step) -> None:
    """LUFFY's one teacher: the one with most trajectories, by name among equals."""
    counts = Counter(teacher["teacher"] for row in ROWS for teacher in row["teachers"])
    name = min(counts, key=lambda teacher: (-counts[teacher], teacher))
    for group in step.groups:
        assert {teacher["teacher"] for teacher in group.prompt["teachers"]} == {name}


def far_from_siblings(step: Step) -> list[Group]:
    """DIVER's idea: correct rollouts are paid half of their mean distance to the others."""
    for group in plain(step):
        mine = vectors([row.text for row in group.rows])
        for place, row in enumerate(group.rows):
            apart = [distance(mine[place], mine[other]) for other in range(G) if other != place]
            row.reward = row.outcome * (1.0 + 0.5 * sum(apart) / len(apart))
    return step.groups


def unlike_correct_siblings(step: Step) -> list[Group]:
    """DARLING's: from 1 where no other correct rollout says the same down to its floor of 0.1 where all do."""
    for group in plain(step):
        mine = vectors([row.text for row in group.rows])
        for place, row in enumerate(group.rows):
            others = [other for other in range(G) if other != place and group.rows[other].outcome == 1]
            same = sum(distance(mine[place], mine[other]) <= 0.1 for other in others)
            row.reward = row.outcome * (1.0 - 0.9 * same / max(len(others), 1))
    assert any(0 < row.reward < 1 for group in step.groups for row in group.rows)
    return step.groups


# --- losses -----------------------------------------------------------------------------------------------------------


def policy_loss(
    step: Step,
    groups: Sequence[Group],
    *,
    std: bool = False,
    clip: tuple[float, float] | None = None,
    divisor: str = "constant",
    bonus: float = 0.001 * IN_A_SUM,
    spare: bool = False,
    positive: Callable[[float], float] = lambda entropy: 1.0,
    learns_given: bool = False,
) -> Tensor:
    """-A r on online tokens, -A p / (p + 0.1) on teacher tokens, minus the entropy bonus on online tokens."""
    all_tokens = sum(len(row.ids) for group in groups for row in group.rows)
    loss, entropy, online_tokens = torch.zeros(()), torch.zeros(()), 0
    for group in groups:
        rewards = [row.reward for row in group.rows]
        mean = sum(rewards) / G
        spread = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / (G - 1)) + 1e-4 if std else 1.0
        for row in group.rows:
            advantage = (row.reward - mean) / spread
            if spare and not row.teacher and not group.solved:
                advantage = 0.0
            if row.outcome == 1 and not row.teacher:
                past = step.past_logps(group.prompt_ids, row.ids)
                advantage *= positive(-(past.exp() * past).sum().item() / len(row.ids))
            weight = {
                "constant": 1 / (PROMPTS * G * LONGEST),
                "row": 1 / (PROMPTS * G * len(row.ids)),
                "tokens": 1 / all_tokens,
            }[divisor]
            now_TV = log_probs(step.policy, group.prompt_ids, row.ids)
            now, before = (of_tokens(x, row.ids) for x in (now_TV, step.past_logps(group.prompt_ids, row.ids)))
            taught = len(row.ids) if row.teacher else row.given
            if row.teacher or learns_given:
                loss = loss - weight * (advantage * now.exp() / (now.exp() + 0.1))[:taught].sum()
            now_TV, now, before = now_TV[taught:], now[taught:], before[taught:]
            online_tokens += len(now)
            entropy = entropy - (now_TV.exp() * now_TV).sum()
            ratio = (now - before).exp()
            gain = ratio * advantage
            if clip is not None:
                held = ratio.clamp(1 - clip[0], 1 + clip[1]) * advantage
                step.clipped["low" if advantage < 0 else "high"] += int((held < gain).sum())
                gain = torch.minimum(gain, held)
            loss = loss - weight * gain.sum()
    return loss - bonus * entropy / online_tokens


def imitation_loss(
    step: Step,
    groups: Sequence[Group],
    *,
    each: int | None = 1,
    phi: Callable[[Tensor], Tensor] = torch.ones_like,
    w: Callable[[float], float] = lambda entropy: 1.0,
) -> Tensor:
    """-Σ w φ log p over the tokens of `each` trajectories of every group (None: of all), by the number of tokens."""
    loss, tokens = torch.zeros(()), 0
    for group in groups:
        known = [step.trajectory(teacher["text"]) for teacher in group.prompt["teachers"]]
        assert all(ids in known for ids in group.imitated)
        assert len(group.imitated) == (len(known) if each is None else each)
        assert len({tuple(ids) for ids in group.imitated}) == len(group.imitated)
        for ids in group.imitated:
            now_TV = log_probs(step.policy, group.prompt_ids, ids)
            now, entropy = of_tokens(now_TV, ids), -(now_TV.exp() * now_TV).sum().item() / len(ids)
            tokens += len(ids)
            loss = loss - w(entropy) * (phi(now.detach().exp()) * now).sum()
    return loss / tokens


def dr_grpo(step: Step) -> Tensor:
    return policy_loss(step, plain(step), clip=(0.2, 0.2))


def pope(step: Step) -> Tensor:
    """Some groups begin as a teacher does, behind a whole step; all rows of a group alike."""
    for group in step.groups:
        beginnings = {tuple(row.ids[: row.given]) for row in group.rows}
        assert len(beginnings) == 1
        check_beginning(step, group, group.rows[0])
    assert {bool(row.given) for group in step.groups for row in group.rows} == {True, False}
    return dr_grpo(step)


def prefix_rft(step: Step) -> Tensor:
    """The last row alone, 95 % of the trajectory at the first step."""
    for group in step.groups:
        *others, last = group.rows
        assert not any(row.given for row in others)
        known = [step.trajectory(teacher["text"])[:-1] for teacher in group.prompt["teachers"]]
        assert last.given in {int(0.95 * len(ids)) for ids in known}
        check_beginning(step, group, last)
    return policy_loss(step, plain(step), clip=(0.2, 0.2), learns_given=True)


def check_beginning(step: Step, group: Group, row: Row) -> None:
    known = [step.trajectory(teacher["text"]) for teacher in group.prompt["teachers"]]
    assert any(ids[: row.given] == row.ids[: row.given] for ids in known)
    assert len(row.ids) <= LONGEST


def luffy(step: Step) -> Tensor:
    only_teacher(step)
    return policy_loss(step, hybrid(step, last_slot))


def ampo(step: Step) -> Tensor:
    best_understood(step)
    rows = hybrid(step, partial(most_teacher_like_of_a_failed_group, count=2))
    return policy_loss(step, rows, clip=(0.2, 0.2))


def hpt(step: Step) -> Tensor:
    solved = [group for group in plain(step) if group.solved]
    failed = [group for group in step.groups if not group.solved]
    assert not any(group.imitated for group in solved)
    return policy_loss(step, solved) + IN_A_SUM * imitation_loss(step, failed)


def grpo_by_tokens(step: Step) -> Tensor:
    return policy_loss(step, plain(step), std=True, clip=(0.2, 0.2), divisor="tokens", bonus=0)


def chord_mu(step: Step) -> Tensor:
    mu = (0.9 + 0.9 * 0.056) / 2  # half of the run is behind
    return (1 - mu) * grpo_by_tokens(step) + mu * imitation_loss(step, step.groups)


def chord_phi(step: Step) -> Tensor:
    return 0.9 * grpo_by_tokens(step) + 0.1 * imitation_loss(step, step.groups, phi=lambda p: p * (1 - p))


def srft(step: Step) -> Tensor:
    only_teacher(step)
    rl = policy_loss(step, hybrid(step, last_slot), positive=lambda entropy: 0.1 * math.exp(entropy))
    return rl + 0.5 * imitation_loss(step, step.groups, w=lambda entropy: math.exp(-entropy))


EQUATIONS: dict[str, Callable[[Step], Tensor]] = {
    "grpo": lambda s: policy_loss(s, plain(s), std=True, clip=(0.2, 0.2), divisor="row", bonus=0),
    "dr_grpo": dr_grpo,
    "dapo": lambda s: policy_loss(s, plain(s), std=True, clip=(0.2, 0.28), divisor="tokens", bonus=0),
    "sft": lambda s: imitation_loss(s, s.groups, each=None),
    "sft_one": lambda s: imitation_loss(s, s.groups, each=None),  # of the teachers that are left in the data
    "sft_then_rl": dr_grpo,  # its second stage; the first is sft
    "sft_one_then_rl": lambda s: policy_loss(s, plain(s)),  # no clip, as oger_plus
    "rl_sft": lambda s: policy_loss(s, plain(s)) + IN_A_SUM * imitation_loss(s, s.groups),
    "luffy": luffy,
    "luffy_multi": lambda s: policy_loss(s, hybrid(s, last_slot)),
    "ampo": ampo,
    "oger": lambda s: policy_loss(s, hybrid(s, most_teacher_like, bonus=True)),
    "oger_paper_text": lambda s: policy_loss(
        s, hybrid(s, most_teacher_like, bonus=True), std=True, clip=(0.2, 0.2), divisor="tokens", bonus=0
    ),
    "oger_plus": lambda s: policy_loss(
        s, hybrid(s, most_teacher_like_of_a_failed_group, bonus=True), spare=True
    ),  # once the policy is warm
    "pope": pope,
    "prefix_rft": prefix_rft,
    "bread": dr_grpo,  # at a first visit; tests/training/rollouts/test_guided.py has the next ones
    "hpt": hpt,
    "srft": srft,
    "chord_mu": chord_mu,
    "chord_phi": chord_phi,
    "diver_like": lambda s: policy_loss(s, far_from_siblings(s), clip=(0.2, 0.2)),
    "darling_like": lambda s: policy_loss(s, unlike_correct_siblings(s), clip=(0.2, 0.2)),
}
ROWS = [
    row
    for split, count in (("train", PROMPTS - 2), ("hard_train", 2))
    for row in load_world("arithmetic").rows(split, limit=count)
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    return path


def untouched_copy(model: Any) -> Any:
    """A model of the same weights; a deep copy would go on calling the forward that accelerate wrapped."""
    copy = AutoModelForCausalLM.from_config(model.config)
    copy.load_state_dict(model.state_dict())
    return copy


def as_groups(inputs: Sequence[Any], batch: Any, scored: Sequence[ScoredBatch], tokenizer: Any) -> list[Group]:
    groups = []
    for start in range(0, PROMPTS * G, G):
        group = Group(inputs[start], tokenizer(inputs[start]["prompt"])["input_ids"])
        for row in range(start, start + G):
            if scored:
                rollouts, outcome = scored[0].rollouts, scored[0].verdicts.outcome_N[row].item()
                given = 0 if rollouts.given_N is None else int(rollouts.given_N[row])
                group.rows.append(Row(rollouts.completion_ids[row], rollouts.texts[row], outcome, given=given))
            if "imitated_ids" in batch and batch["imitated_mask"][row].any():
                group.imitated.append(batch["imitated_ids"][row][batch["imitated_mask"][row].bool()].tolist())
        if scored:
            group.drawn = [t for t in scored[0].teacher_rows if t.row // G == start // G]
        groups.append(group)
    return groups


@pytest.mark.parametrize("method", all_methods())
def test_the_step_loss_and_its_gradient_are_those_of_the_equation(data: Path, tmp_path: Path, method: str) -> None:
    options = [
        f"method={method}", f"train={data}", "validation=null", f"output_dir={tmp_path / 'run'}", "num_iterations=2",
        f"per_device_train_batch_size={PROMPTS * G}", f"max_completion_length={LONGEST}",
    ]  # fmt: skip
    trainer = build_trainer(load_recipe("smoke", options))
    scored: list[ScoredBatch] = []
    trainer.batch_sinks[:] = [lambda _, batch: scored.append(batch)]
    trainer.model.train()
    inputs = next(iter(trainer.get_train_dataloader()))
    batch = trainer._generate_and_score_completions(inputs)
    sampler = untouched_copy(trainer.model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(NOISE * torch.randn(parameter.shape, generator=generator))
        trainer.model.model.norm.weight.mul_(SHARPER)

    tokenizer = trainer.processing_class
    groups = as_groups(inputs, batch, scored, tokenizer)
    step = Step(groups, sampler, untouched_copy(trainer.model), tokenizer)
    if scored:
        solved = {group.solved for group in groups}
        assert solved == {True, False} or (True in solved and trainer.args.guided_prompts == "always")
    expected = EQUATIONS[method](step)
    expected.backward()
    if step.clipped:
        assert min(step.clipped["low"], step.clipped["high"]) > 0, "the comparison is of clipped tokens, too"

    trainer.state.global_step, trainer.state.max_steps = 50, 100
    trainer.args.steps_per_generation = trainer.current_gradient_accumulation_steps = 2
    found = torch.zeros(())
    for part in split_tensor_dict(shuffle_sequence_dict(batch), 2):
        loss = trainer._compute_loss(trainer.model, part)
        loss.backward()
        found += loss.detach()
    torch.testing.assert_close(found, expected.detach(), rtol=2e-4, atol=1e-6)
    largest = max(p.grad.abs().max().item() for p in step.policy.parameters())
    for mine, naive in zip(trainer.model.parameters(), step.policy.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, naive.grad, rtol=1e-3, atol=1e-4 * largest)
