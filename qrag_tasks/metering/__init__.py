"""Seconds, bytes, tokens and joules: what a run costs, measured where the model runs."""
