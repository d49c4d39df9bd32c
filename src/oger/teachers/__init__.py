"""Offline teacher trajectories: what may join a rollout group."""
