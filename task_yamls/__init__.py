"""lm_eval's task files; the wheel has them as the package ``qrag_tasks.task_yamls``."""
