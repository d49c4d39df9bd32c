"""What a run folder is: its logs, its rollouts, its policy."""
