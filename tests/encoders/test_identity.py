"""An identity changes whenever vectors can, and a run refuses another one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oger.encoders import check_identity, create_encoder, identity_record
from oger.encoders.identity import identity_digest
from oger.encoders.source import folder_digest
from tests.support.encoder_models import make_policy, make_roberta, make_static


def test_the_default_encoder_keeps_its_identity() -> None:
    assert identity_record(create_encoder("ngram")) == {
        "name": "ngram",
        "revision": "char-2-4.signed.1",
        "dimension": 4096,
        "window": None,
        "pooling": "count",
        "part": "full",
    }


def test_every_option_that_changes_vectors_changes_the_identity(tmp_path: Path) -> None:
    policy, roberta = make_policy(tmp_path / "policy"), make_roberta(tmp_path / "roberta")
    specs: list[tuple[str, dict[str, object]]] = [
        ("ngram", {}),
        ("ngram", {"lengths": [2, 5]}),
        ("ngram", {"features": 512}),
        ("ngram:word", {}),
        ("ngram", {"part": "final"}),
        (f"policy-init:{policy}", {"device": "cpu"}),
        (f"policy-init:{policy}", {"device": "cpu", "dtype": "bfloat16"}),
        (f"policy-init:{policy}", {"device": "cpu", "window": 64}),
        (f"sentence-transformers:{roberta}", {"device": "cpu"}),
        (f"sentence-transformers:{roberta}", {"device": "cpu", "dtype": "float16"}),
        (f"sentence-transformers:{roberta}", {"device": "cpu", "window": 16}),
        (f"sentence-transformers:{roberta}", {"device": "cpu", "prompt": "query : "}),
    ]
    digests = {identity_digest(create_encoder(spec, **options).identity) for spec, options in specs}
    assert len(digests) == len(specs)


def test_options_that_change_no_vector_keep_the_identity(tmp_path: Path) -> None:
    spec = f"policy-init:{make_policy(tmp_path)}"
    assert create_encoder(spec, device="cpu", batch_tokens=64).identity == create_encoder(spec, device="cpu").identity


def test_other_weights_in_the_same_folder_are_another_encoder(tmp_path: Path) -> None:
    before = create_encoder(f"policy-init:{make_policy(tmp_path / 'p', seed=0)}", device="cpu").identity
    after = create_encoder(f"policy-init:{make_policy(tmp_path / 'p', seed=1)}", device="cpu")
    with pytest.raises(ValueError, match=r"started with the encoder 'policy-init'.*revision was 'sha256:"):
        check_identity({**identity_record(after), "revision": before.revision}, after)


def test_a_digest_depends_on_contents_and_names_and_not_on_place_or_remarks(tmp_path: Path) -> None:
    first = make_static(tmp_path / "first")
    copy = shutil.copytree(first, tmp_path / "copy")
    (copy / "README.md").write_text("other words")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "file").write_text("x")
    assert folder_digest(copy) == folder_digest(first)
    (copy / "tokenizer.json").write_text((copy / "tokenizer.json").read_text() + "\n")
    changed = folder_digest(copy)
    assert changed != folder_digest(first)
    (copy / "tokenizer.json").rename(copy / "tokenizer2.json")
    assert folder_digest(copy) != changed


def test_the_same_encoder_is_accepted_from_its_written_record() -> None:
    encoder = create_encoder("ngram", part="final")
    check_identity(json.loads(json.dumps(identity_record(encoder))), encoder)


def test_a_record_from_before_parts_means_the_full_text() -> None:
    record = identity_record(create_encoder("ngram"))
    del record["part"]
    check_identity(record, create_encoder("ngram"))
    with pytest.raises(ValueError, match="part was 'full', is 'final'"):
        check_identity(record, create_encoder("ngram", part="final"))


def test_another_encoder_is_refused_by_both_names(tmp_path: Path) -> None:
    static = create_encoder(f"static:{make_static(tmp_path)}")
    with pytest.raises(
        ValueError, match=r"started with the encoder 'ngram', now it is 'static'.*dimension was 4096, is 16"
    ):
        check_identity(identity_record(create_encoder("ngram")), static)


def test_a_model_of_the_hub_is_known_by_its_commit(tmp_path: Path) -> None:
    """With a hub cache as the hub's client leaves it, and no network."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--tiny"
    make_static(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    code = "from oger.encoders import create_encoder; print(create_encoder('static:someone/tiny').identity.revision)"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"someone/tiny@{commit}"
