"""docs/scale.md shows what `oger plan` prints; `python -m tests.support.scale_page` puts it there anew.

A line <!-- plan: ARGUMENTS --> is followed by the output for these arguments, 110 columns wide.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
COLUMNS = "110"
BLOCK = re.compile(
    r"<!-- plan: (?P<arguments>[^\n]*?) -->\n(?:\n```text\n\$ oger plan [^\n]*\n(?P<shown>.*?)\n```\n)?", re.DOTALL
)


def printed(arguments: str) -> str:
    """Output of `oger plan` as a command."""
    command = [sys.executable, "-W", "ignore", "-m", "oger.cli.main", "plan", *arguments.split()]
    environment = {**os.environ, "COLUMNS": COLUMNS, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def block(arguments: str, output: str) -> str:
    """The mark and the output below it."""
    lines = "\n".join(line.rstrip() for line in output.rstrip("\n").splitlines())
    return f"<!-- plan: {arguments} -->\n\n```text\n$ oger plan {arguments}\n{lines}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda match: block(match["arguments"], printed(match["arguments"])), PAGE.read_text()))
