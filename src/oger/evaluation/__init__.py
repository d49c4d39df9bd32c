"""Sampling from a policy and honest statistics on the result."""
