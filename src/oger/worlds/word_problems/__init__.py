"""A real language model on grade-school word problems: reasoning-gym's gsm_symbolic, SmolLM2-135M-Instruct."""
