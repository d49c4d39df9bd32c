"""Log-probabilities and entropies of the hybrid rows."""
