"""The numbers world: reach a target with given numbers, by one of many computations (reasoning-gym's countdown)."""
