"""Names in the folder of a study: what it keeps, and what it works in."""

from __future__ import annotations

RESULTS_FOLDER, CELLS_FOLDER = "results", "cells"

MARKDOWN, CSV = "leaderboard.md", "leaderboard.csv"
"""In the results."""
