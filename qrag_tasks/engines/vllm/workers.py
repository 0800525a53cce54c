"""What the worker processes of vLLM have used, where one model is spread over several."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from qrag_tasks.metering.usage import Usage, usage_beside, usage_of_model

logger = logging.getLogger("lm_eval.qrag_tasks")


class WorkersUsage:
    """Asks the workers; :data:`qrag_tasks.metering.usage.Usages`.

    :param llm: ``vllm.LLM``.
    """

    def __init__(self, llm: Any) -> None:
        self._llm = llm
        self._last: Sequence[Usage] = ()

    def __call__(self, begin: bool) -> Sequence[Sequence[Usage]]:
        """Return what this process and each worker have used."""
        try:
            self._last = list(self._llm.apply_model(partial(usage_of_model, begin=begin)))
        except Exception:  # of many kinds: a worker that has ended tells nothing any more
            logger.debug("vLLM's workers do not tell what they use", exc_info=True)
        return [[usage_beside(), *self._last]]
