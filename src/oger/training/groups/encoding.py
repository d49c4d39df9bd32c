"""The run's frozen encoder, and the same encoder with a cache for teacher trajectories, which return every epoch."""

from __future__ import annotations

from pathlib import Path

from oger.encoders.base import Encoder
from oger.encoders.cache import CachedEncoder
from oger.encoders.registry import create_encoder, resolve_spec
from oger.training.config import OGERConfig

NO_CACHE = "none"
_FOLDER = "vectors"
_CHEAP = ("ngram",)  # quicker to make again than to keep: 16 kB a text


def make_encoders(args: OGERConfig, policy_source: str | None) -> tuple[Encoder, Encoder]:
    """(encoder of the rollouts, encoder of the teachers); both give the same vectors.

    Args:
        args: the run's options; `encoder_cache` names the folder of the cache.
        policy_source: folder or hub id that the policy was loaded from, for the encoder "policy-init".

    Raises:
        ValueError: the encoder cannot be made; says why.
    """
    encoder = create_encoder(resolve_spec(args.encoder, policy_source), part=args.encoder_part, **args.encoder_options)
    folder = args.encoder_cache
    if folder is None and args.record_dir is not None and encoder.identity.name not in _CHEAP:
        folder = str(Path(args.record_dir) / _FOLDER)
    if folder is None or folder == NO_CACHE:
        return encoder, encoder
    return encoder, CachedEncoder(encoder, folder)
