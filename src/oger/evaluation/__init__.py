"""Sampling from a policy and honest statistics on the result."""

from oger.evaluation.statistics import bootstrap_interval, pass_at_k, summarize

__all__ = ["bootstrap_interval", "pass_at_k", "summarize"]
