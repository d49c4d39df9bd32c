"""The table of teacher trajectories: its schema, its column, its exports."""
