"""Sampling the online rollouts."""
