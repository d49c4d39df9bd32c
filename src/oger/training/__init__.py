"""OGERTrainer, a thin subclass of TRL's GRPOTrainer, and what feeds it."""
