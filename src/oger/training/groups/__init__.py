"""From rollouts and teachers to hybrid groups."""
