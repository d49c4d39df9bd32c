"""From outcomes to numbers with intervals."""
