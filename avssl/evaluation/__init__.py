"""Protocols that measure an encoder."""
