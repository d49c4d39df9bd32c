"""Frozen encoders: texts to unit vectors."""
