"""The engine that runs a model through transformers, in batches by tokens.

Models are loaded by :mod:`qrag_tasks.harness.hflm_loader`, which takes lm_eval's own arguments.
"""
