"""Where things lie that can be made again."""

from pathlib import Path

import pytest

from oger.io.cache import cache_folder


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"OGER_CACHE": "a", "XDG_CACHE_HOME": "b"}, "a"),
        ({"XDG_CACHE_HOME": "b"}, "b/oger"),
        ({"HOME": "c"}, "c/.cache/oger"),
    ],
)
def test_the_environment_names_the_cache(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], place: str) -> None:
    for name in ("OGER_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(place)
