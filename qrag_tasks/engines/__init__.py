"""Prompts in, tokens out: how every arm decodes, in which batches, and what is kept of it."""
