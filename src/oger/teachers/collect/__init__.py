"""Sampling teachers through an endpoint."""
