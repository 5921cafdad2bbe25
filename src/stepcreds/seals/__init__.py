"""Seals: what all chains were at a moment, in a signed log that only grows; read and checked here, made elsewhere."""
