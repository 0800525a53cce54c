"""The task class as task files name it: where it comes from here, lm_eval has its guards.

With the hook off (``QRAG_AUTOLOAD=0``), nothing has adapted lm_eval before its task files are read.
"""

from qrag_tasks.harness import autoload
from qrag_tasks.harness.task import LampRagTask

__all__ = ["LampRagTask"]

autoload.adapt_loaded(autoload.GUARDS)
