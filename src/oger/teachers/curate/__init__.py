"""From sources in any layout to one verified multi-teacher table."""
