"""Secrets end up in no file of a run and in no message."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oger.io.secrets import api_key, find_secrets, names_secret, without_secrets
from oger.runs.environment import write_environment
from oger.terminal.errors import UserError
from tests.support.command import Outcome

SECRET = "hf_s3cr3ts3cr3t"


@pytest.mark.parametrize(
    "name",
    ["token", "api_key", "apikey", "HF_TOKEN", "password", "client_secret", "--api-key", "headers.Authorization"],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["eos_token", "pad_token", "max_tokens", "tokenizer", "api_key_env", "keep_last"])
def test_names_of_other_things(name: str) -> None:
    assert not names_secret(name)


def test_a_key_is_sent_only_where_its_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("EMPTY", "")
    assert api_key(None) is None
    assert api_key("OPENAI_API_KEY") == SECRET
    for variable in ("EMPTY", "NOT_SET"):
        with pytest.raises(UserError, match=f"variable {variable} is not set; it should hold the API key"):
            api_key(variable)


def test_secrets_are_found_however_deep() -> None:
    document = {"a": [{"b": {"token": SECRET}}], "url": f"http://me:{SECRET}@host", "token": True, "eos_token": "</s>"}
    assert list(find_secrets(document)) == ["a.b.token", "url"]


@pytest.mark.parametrize(
    "override",
    [
        f"model_init_kwargs={{token: {SECRET}}}",
        f"vllm_server_base_url=http://me:{SECRET}@host:8000",
        f"hub_token={SECRET}",
        f"api_key={SECRET}",
        f"test={{id: 'https://{SECRET}@host/data.jsonl'}}",
        f"first={{model_init_kwargs: {{token: {SECRET}}}}}",
    ],
)
def test_a_recipe_with_a_secret_is_refused_without_repeating_it(
    override: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oger: Callable[..., Outcome]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = oger("train", "smoke", override, "output_dir=run")
    assert done.code == 2
    assert "environment variable" in done.err
    assert SECRET not in done.err + done.out
    assert not (tmp_path / "run").exists()


def test_a_body_of_requests_with_a_secret_is_refused(tmp_path: Path, oger: Callable[..., Outcome]) -> None:
    arguments = ("--endpoint", "http://localhost:9/v1", "--model", "m", "--out", tmp_path / "answers.jsonl")
    done = oger(
        "teachers", "collect", "--prompts", "world:arithmetic/test", *arguments, "--body", f'{{"api_key": "{SECRET}"}}'
    )
    assert done.code == 2
    assert "--api-key-env" in done.err
    assert SECRET not in done.err
    assert not (tmp_path / "answers.jsonl").exists()


def test_the_record_of_the_environment_masks_arguments_and_holds_no_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["mine.py", "--hub-token", SECRET, f"url=http://me:{SECRET}@host/v1", "lr=1"])
    for variable in ("HF_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "MY_PASSWORD"):
        monkeypatch.setenv(variable, SECRET)
    text = write_environment(tmp_path).read_text()
    assert SECRET not in text
    assert '"lr=1"' in text
    assert without_secrets(sys.argv[1:]) == ["--hub-token", "***", "url=http://***@host/v1", "lr=1"]


def test_a_run_with_secrets_in_its_environment_leaves_none_of_them_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oger: Callable[..., Outcome]
) -> None:
    for variable in ("HF_TOKEN", "OPENAI_API_KEY", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, SECRET)
    options = ["max_steps=1", "probe_prompts=1", "rollouts_every=1", "validation=null", "test={}"]
    options += ["train=world:arithmetic/validation", "report_to=tensorboard"]
    done = oger("train", "smoke", *options, f"output_dir={tmp_path / 'run'}")
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
