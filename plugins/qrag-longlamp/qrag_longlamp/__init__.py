"""LongLaMP (Kumar et al. 2024, arXiv 2407.11016) as tasks of qrag-tasks."""
