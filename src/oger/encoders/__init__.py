"""Frozen encoders: texts to unit vectors."""

from oger.encoders.base import Encoder, EncoderIdentity
from oger.encoders.registry import create_encoder, encoder_names

__all__ = ["Encoder", "EncoderIdentity", "create_encoder", "encoder_names"]
