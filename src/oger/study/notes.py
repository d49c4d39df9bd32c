"""What stands beside the tables of a leaderboard, and the columns of those that list means."""

from __future__ import annotations

INTERVALS = (
    "Accuracy is the share of correct samples in percent; an undecided sample counts as wrong. Square brackets hold "
    "95 % intervals with problems and seeds both random (two-way variance, Student's t), not adjusted for the number "
    "of methods. Differences are to {reference}, in points, paired by problem. p (problems) is a paired permutation "
    "test over problems with the seeds averaged, not adjusted; p (Holm) has problems and seeds both random and is "
    "adjusted by Holm's method for all methods of its table. ▲ and ▼ mark p (Holm) < 0.05. W/T/L counts the seeds "
    "ahead of, equal to and behind {reference} with the same seed. MDD is the least true difference that the first of "
    "Holm's steps would have found with a power of 0.8. Format-blind is the accuracy with answers that stand outside "
    "the box that is asked for; - where none is, or the results do not hold it. Steps and tokens are means over seeds, "
    "by stage in the order of training (tokens in all where the results do not hold them by stage); tokens are those "
    "that the policy generated: imitation generates none. Rate: tuned on validation for this method, or that of "
    'another. "last" is the policy after the last step, "best" the one with the highest validation accuracy; no test '
    "split was read to choose either."
)
SAID = {"ahead": "ahead of", "behind": "behind"}
CLAIMS_NOTE = (
    "What the study's file says of its methods: holds where the difference has the claimed sign, does not hold where "
    "it has the other one, each at 5 % with problems and seeds both random; cannot tell otherwise. p is adjusted by "
    "Holm's method for all {number} rows. Differences are in points, of distinct solutions in solutions per "
    "problem."
)
COST_NOTE = (
    "Means over seeds. Tokens are those that the policy generated in training. Solutions are the distinct ones among "
    "the samples of a problem, and the distinct correct ones; distance is the mean 1 - cosine between correct samples "
    "of a problem, divergence the mean distance of all samples from the problem's teachers, both by one encoder for "
    "all methods. Entropy is that of the last ten steps, in nats."
)

SIGNAL_NOTE = (
    "Means over steps and seeds, of methods that sample rollouts; - where there is nothing to average. D is the "
    "divergence of the rollouts from the teachers, c the confidence, bonus what the exploration reward adds to a "
    "rollout; failed are the groups without a correct rollout, plain those without a teacher row; replaced correct is "
    "the share of right answers among those that gave way; A is the teacher rows' advantage, p the probability that "
    "the policy gives their tokens."
)
SIGNALS = {
    "D": ("divergence", ".3f", 1.0),
    "D, correct": ("correct_divergence", ".3f", 1.0),
    "c": ("confidence", ".3f", 1.0),
    "bonus": ("exploration", ".3f", 1.0),
    "failed %": ("solve_none", ".1f", 100.0),
    "plain %": ("plain", ".1f", 100.0),
    "replaced correct %": ("replaced_correct", ".1f", 100.0),
    "A": ("teacher_advantage", "+.3f", 1.0),
    "A < 0 %": ("teacher_advantage_negative", ".1f", 100.0),
    "p": ("teacher_prob", ".3f", 1.0),
}
COSTS = {
    "steps": ("steps", ",.0f", 1.0),
    "tokens": ("generated_tokens", ",.0f", 1.0),
    "training s": ("train_seconds", ",.0f", 1.0),
    "cell s": ("wall_seconds", ",.0f", 1.0),
    "entropy": ("entropy", ".3f", 1.0),
    "length": ("length", ".1f", 1.0),
    "truncated %": ("truncated", ".1f", 100.0),
    "undecided %": ("undecided", ".1f", 100.0),
    "solutions": ("solutions", ".2f", 1.0),
    "correct solutions": ("correct_solutions", ".2f", 1.0),
    "distance": ("solution_distance", ".3f", 1.0),
    "divergence": ("teacher_divergence", ".3f", 1.0),
}
