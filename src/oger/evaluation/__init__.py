"""Policies on benchmarks: sampling, verdicts, honest statistics, comparison.

Everything that is measured is a `job`: one policy on one set of problems. It goes through `benchmark` (what one is),
`problems` (its rows), `backends` (who answers), `store` (nothing is drawn twice), `grading` (verdicts), `runner` (plan,
draw, grade), `summary` (the numbers of one policy, from `statistics`) and `tables` (several, with intervals). What a
training run or a study cell measures are jobs in memory.
"""
