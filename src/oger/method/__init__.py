"""The equations of the paper as pure functions on tensors: torch only, no trainer, no I/O, no global state."""
