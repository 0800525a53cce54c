"""What own data are called, in names of tasks and in tables."""

NAME = "own"
"""What lm_eval's names begin with: ``own_rag_k5``."""
FAMILY = "own data"
