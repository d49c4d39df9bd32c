"""From outcomes, divergences and entropies to rewards and advantages."""
