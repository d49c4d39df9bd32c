"""environment.json says what a run was made with."""

import json

import oger
from oger.runs.environment import environment, write_environment


def test_the_environment_is_json_with_versions_and_hardware(tmp_path) -> None:
    path = write_environment(tmp_path)
    saved = json.loads(path.read_text())
    assert path.name == "environment.json"
    assert saved["oger"] == oger.__version__
    assert saved["cpu_count"] >= 1
    assert saved["packages"]["torch"].startswith("2.")
    assert saved["devices"] == environment()["devices"]
