"""``python -m qrag_tasks.cli``."""

from qrag_tasks.cli import main

main()
