"""Quantizing a checkpoint into a folder that any arm can read: `qrag quantize`."""
