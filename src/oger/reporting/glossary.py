"""Every metric once: its name, its unit and what exactly is averaged over what.

Names are `topic/what`. A metric of the validation run carries the prefix `eval/` (the transformers trainer writes
`eval_`; `canonical` translates). Means over "online rows" leave teacher rows out; "tokens" are response tokens that
carry loss. Names that TRL and transformers emit by themselves are in `INHERITED`.
"""

from __future__ import annotations

from dataclasses import dataclass

from oger.terminal.grid import render


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the glossary."""

    name: str
    unit: str
    """"share" lies in [0, 1]; "reward", "nats", "tokens", "seconds", "count"; "" for a pure number."""
    definition: str


_METRICS = (
    # The optimiser step
    Metric("step", "count", "optimiser steps taken so far"),
    Metric("epoch", "", "passes over the training prompts so far"),
    Metric("loss", "", "loss of the optimiser step: online + teacher terms, entropy bonus and KL included"),
    Metric("grad_norm", "", "global L2 norm of the gradient before clipping"),
    Metric("learning_rate", "", "learning rate of the optimiser step"),
    Metric("skipped_steps", "count", "optimiser steps skipped so far, since a number was not finite (RUN/faults)"),
    # Reward
    Metric("reward/total", "reward", "mean over online rows of the reward that enters the advantage, bonus included"),
    Metric("reward/outcome", "share", "judged online rollouts that are correct (R^m = 1), before replacement"),
    Metric("reward/exploration", "reward", "mean over online rows of the bonus: the weighted shaping rewards, λ·D·c·R"),
    Metric("shaping/*", "reward", "mean over judged online rows of one shaping reward, before its weight"),
    Metric(
        "reward/bonus_length_correlation",
        "",
        "correlation of bonus and length among correct online rows of a rank's batch; mean over batches and ranks",
    ),
    Metric("reward/schedule", "", "factor on the weights of the shaping rewards, where a schedule is set"),
    # What the exploration reward is made of
    Metric("divergence/mean", "", "mean of D over online rollouts of prompts with teachers, before replacement"),
    Metric("divergence/correct_mean", "", "the same mean over correct rollouts"),
    Metric(
        "divergence/correct_spread",
        "",
        "standard deviation of D among the correct rollouts of a group; mean over groups with teachers and two of them",
    ),
    Metric("entropy/mean", "nats", "mean next-token entropy of the policy over online tokens"),
    Metric("entropy/last", "nats", "mean over online rows of the entropy their last token was drawn from"),
    Metric("confidence/mean", "", "mean over online rows of c = exp(-scale·H), H as the option entropy_reduction says"),
    # Groups
    Metric("group/solve_none", "share", "groups in which no online rollout is correct, before replacement"),
    Metric("group/solve_all", "share", "groups in which every online rollout is correct, before replacement"),
    Metric(
        "group/distinct_correct_share",
        "share",
        "different texts among the correct rollouts of a group; mean over groups with at least two",
    ),
    Metric("group/replaced_correct_share", "share", "rollouts replaced by a teacher row that were correct"),
    Metric("group/plain_share", "share", "groups without a teacher row"),
    Metric("group/zero_variance_share", "share", "groups whose total rewards are all equal, teacher rows included"),
    # Guided rollouts
    Metric("guided/share", "share", "rollouts that begin with a part of a teacher trajectory"),
    Metric("guided/outcome", "share", "judged guided rollouts that are correct; reward/outcome leaves them out"),
    Metric(
        "guided/given_tokens", "tokens", "mean length of what guided rollouts are given; length/online leaves it out"
    ),
    # Advantage
    Metric("advantage/idle_share", "share", "rows that took no part in the forward: rollouts of advantage 0"),
    Metric("advantage/teacher_mean", "reward", "mean advantage of teacher rows"),
    Metric("advantage/teacher_negative_share", "share", "teacher rows with a negative advantage"),
    # Length and verdicts
    Metric("length/online", "tokens", "mean length of online rollouts, before replacement, end of sequence included"),
    Metric("length/teacher", "tokens", "mean length of teacher rows, end of sequence included"),
    Metric("length/truncated_share", "share", "online rollouts cut by the length limit, before replacement"),
    Metric("outcome/undecided_share", "share", "online rollouts that the verifier could not judge, before replacement"),
    Metric("verification/undecided_share", "share", "completions that the shipped verifier could not judge"),
    Metric("verification/overruled_share", "share", "completions where the second check overruled math-verify"),
    # Objective
    Metric(
        "objective/online_loss", "", "mean over online tokens of the policy-gradient term, -A·r where it is not clipped"
    ),
    Metric("objective/teacher_loss", "", "mean over teacher tokens of the policy-gradient term -A·f(π)"),
    Metric("objective/clip_low_share", "share", "online tokens whose ratio is clipped from below (A < 0)"),
    Metric("objective/clip_high_share", "share", "online tokens whose ratio is clipped from above (A > 0)"),
    Metric("objective/ratio_mean", "", "mean over online tokens of r = π/π_old"),
    Metric("objective/ratio_outside_share", "share", "online tokens with r outside [0.9, 1.1]"),
    Metric("objective/teacher_prob", "share", "mean over teacher tokens of the policy's probability π"),
    Metric("objective/teacher_weight", "", "mean over teacher tokens of the gradient weight df/d log π, γπ/(π+γ)²"),
    Metric("objective/kl", "nats", "mean over online tokens of the estimated KL to the reference policy"),
    # Imitation beside the rollout groups
    Metric("imitation/nll", "nats", "mean over imitated teacher tokens of -log π"),
    Metric("imitation/weight", "", "b in L = a L_policy + b L_imitation at this step of its schedule"),
    Metric("imitation/prompt_share", "share", "prompts whose teachers are imitated"),
    Metric("imitation/length", "tokens", "mean length of imitated trajectories, end of sequence included"),
    # Engine against trainer, where another engine generates
    Metric("sampling/logp_difference", "nats", "mean over online tokens of |log-probability of engine - of trainer|"),
    Metric("sampling/importance_ratio", "", "mean importance ratio trainer to engine over online tokens or rows"),
    # Time
    Metric("time/generate", "seconds", "generation of the online rollouts"),
    Metric("time/score", "seconds", "reward functions and encoder"),
    Metric("time/logprob", "seconds", "forward without gradient for old log-probabilities and entropies"),
    Metric("time/update", "seconds", "forward, backward and optimiser"),
    Metric("time/step", "seconds", "the whole optimiser step, its part of the rollout batch included"),
    # Evaluation and totals
    Metric("eval/outcome", "share", "validation responses that are correct; the best checkpoint has the highest"),
    Metric("eval/length", "tokens", "mean length of validation responses, end of sequence included"),
    Metric("eval/truncated_share", "share", "validation responses cut by the length limit"),
)

GLOSSARY: dict[str, Metric] = {metric.name: metric for metric in _METRICS}
"""Metrics of this project by name."""

INHERITED: dict[str, str] = {
    "num_tokens": "TRL: prompt and completion tokens seen so far",
    "reward": "TRL: mean reward as its own reward functions and weights give it",
    "reward_std": "TRL: standard deviation of the reward",
    "rewards/*/mean": "TRL: mean of one reward function",
    "rewards/*/std": "TRL: standard deviation of one reward function",
    "frac_reward_zero_std": "TRL: share of groups whose rewards have no spread",
    "completions/mean_length": "TRL: mean completion length in tokens",
    "completions/min_length": "TRL: shortest completion in tokens",
    "completions/max_length": "TRL: longest completion in tokens",
    "completions/clipped_ratio": "TRL: share of completions without an end of sequence",
    "completions/*_terminated_length": "TRL: mean, shortest or longest completion with an end of sequence, in tokens",
    "entropy": "TRL: mean entropy of completion tokens in nats",
    "entropy_coef": "TRL: coefficient of the entropy bonus when it adapts",
    "kl": "TRL: mean estimated KL to the reference policy in nats",
    "clip_ratio/*": "TRL: share of clipped tokens: low, high, region; mean, min, max",
    "cispo_clip_ratio": "TRL: share of tokens clipped by the loss type cispo",
    "vespo/phi_seq_mean": "TRL: mean sequence weight of the loss type vespo",
    "policy_loss": "TRL: loss without the auxiliary terms",
    "aux_loss": "TRL: load-balancing loss of a mixture of experts",
    "sampling/sampling_logp_difference/*": "TRL: |log-probability of engine - of trainer|: mean, max",
    "sampling/importance_sampling_ratio/*": "TRL: importance ratio trainer to engine: min, mean, max",
    "tools/*": "TRL: frequency of tool calls and of failed ones",
    "step_time": "TRL: seconds of one optimiser step",
    "runtime": "transformers: seconds of the evaluation",
    "samples_per_second": "transformers: evaluation samples per second",
    "steps_per_second": "transformers: evaluation steps per second",
    "train_loss": "transformers: mean loss of the whole training",
    "train_runtime": "transformers: seconds of the whole training",
    "train_*_per_second": "transformers: samples, steps or tokens per second of the whole training",
    "total_flos": "transformers: floating-point operations so far, estimated",
    "num_input_tokens_seen": "transformers: input tokens so far",
}
"""Names that TRL and transformers emit, as patterns of the standard module fnmatch."""

_PAGE = """\
# Metrics

Every name in a run's `metrics.jsonl`, and in every tracker. A row is one optimiser step; a name that has
nothing to average over in a step (no teacher row, no validation) is absent from that row. This page is
written by `python -m oger.reporting.glossary > docs/metrics.md`.

{own}

A validation metric carries the prefix `eval/`. Names that TRL and transformers emit (`*` stands for any
text); in training, the names above take the place of TRL's `reward`, `entropy`, `kl` and `clip_ratio`,
which stay in validation and in runs through TRL's own objective:

{inherited}
"""


def canonical(name: str) -> str:
    """The glossary's form of a logged name: the trainer's prefix `eval_` becomes `eval/`.

    >>> canonical("eval_reward/outcome")
    'eval/reward/outcome'
    """
    return f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else name


def markdown() -> str:
    """The glossary as a page, for docs/metrics.md (`python -m oger.reporting.glossary`)."""
    own = [(f"`{metric.name}`", metric.unit or "-", metric.definition) for metric in _METRICS]
    inherited = [(f"`{pattern}`", definition) for pattern, definition in INHERITED.items()]
    return _PAGE.format(
        own=render([("name", "unit", "definition"), *own], "markdown"),
        inherited=render([("name", "definition"), *inherited], "markdown"),
    )


if __name__ == "__main__":
    print(markdown(), end="")
