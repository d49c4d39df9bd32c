"""What stands beside every table: how, when and with what its numbers were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from oger.study.plan import BASE


def provenance(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What stands beside a table: commands, seeds, machines, dates, wall time, versions and commits of its cells."""
    cells = {row["cell"]: row for row in rows}.values()

    def distinct(name: str) -> str:
        return "; ".join(sorted({str(row[name]) for row in cells if row[name] is not None})) or "-"

    versions: dict[str, set[str]] = {}
    for row in cells:
        for name, version in json.loads(row["versions"]).items():
            versions.setdefault(name, set()).add(version)
    dates = sorted({row["date"] for row in cells})
    return {
        "command": distinct("command"),
        "seeds": ", ".join(str(seed) for seed in sorted({row["seed"] for row in cells if row["method"] != BASE})),
        "machine": distinct("machine"),
        "date": dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}",
        "wall time": f"{sum(row['wall_seconds'] for row in cells) / 3600:.2f} h over {len(cells)} cells",
        "versions": ", ".join(f"{name} {'/'.join(sorted(found))}" for name, found in versions.items()),
        "commit": distinct("commit"),
    }


def stamp(rows: Sequence[Mapping[str, Any]]) -> str:
    """`provenance` in one small line of Markdown."""
    facts = provenance(rows)
    command = facts.pop("command")
    return f"<sub>`{command}`; {'; '.join(f'{name}: {value}' for name, value in facts.items())}</sub>"
