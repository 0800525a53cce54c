"""Dense retrievers for qrag-tasks: ``contriever``, ``dpr`` and ``dense``."""
