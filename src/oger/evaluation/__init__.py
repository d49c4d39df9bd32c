"""Policies on benchmarks: sampling, verdicts, honest statistics, comparison.

`evaluate` and `sampling` are what a training run measures itself with. Benchmarks go through `benchmark` (what one is),
`problems` (its rows), `generators` (who answers) and `processes` (several at once), `store` (nothing is drawn twice),
`grading` (verdicts), `runner` (plan, draw, grade), `summary` with `majority` and `diversity` (the numbers of one
policy), and `compare` (several, with intervals).
"""

from oger.evaluation.statistics.accuracy import bootstrap_interval, pass_at_k, pass_curve, summarize

__all__ = ["bootstrap_interval", "pass_at_k", "pass_curve", "summarize"]
