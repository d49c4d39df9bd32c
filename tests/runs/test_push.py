"""A LoRA run pushed to a hub, and its adapter's card there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub_server import hub_server


@pytest.mark.soak
def test_a_pushed_adapter_has_its_weights_and_the_card_of_its_run(tmp_path: Path) -> None:
    options = ["push_to_hub=true", "hub_model_id=acme/oger-lora", "peft={r: 4}", "output_dir=r", "test={}"]
    with hub_server() as hub:
        variables = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_planted"}
        done = subprocess.run(
            [sys.executable, "-m", "oger", "train", "smoke", *options, "eval_strategy=no", "max_steps=1"],
            cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    files = hub.files["acme/oger-lora"]
    assert {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= set(files)
    run = tmp_path / "r"
    assert files["README.md"].decode() == (run / "model" / "README.md").read_text()
    assert files["adapter_model.safetensors"] == (run / "model" / "adapter_model.safetensors").read_bytes()
    assert b"LoRA adapter" in files["README.md"]
    assert "End of training" in hub.messages
    assert not [path for path, content in files.items() if b"hf_planted" in content]
