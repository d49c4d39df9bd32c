"""`oger version`."""

from __future__ import annotations

import typer

import oger


def version() -> None:
    """Print the version."""
    typer.echo(f"oger {oger.__version__}")
