"""Formats of weights, one module each; :mod:`~qrag_tasks.arms.formats.base` says what one is."""
