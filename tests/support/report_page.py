"""What a rendered page of a report holds."""

from __future__ import annotations

import json
import re
from typing import Any


def read_data(page: str) -> dict[str, Any]:
    """The data of a rendered page."""
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    return json.loads(match.group(1))
