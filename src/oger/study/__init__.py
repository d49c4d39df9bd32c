"""Controlled studies: methods x regimes x seeds, each trained and measured once, merged into tables with intervals."""
