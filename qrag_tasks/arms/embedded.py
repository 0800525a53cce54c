"""The embedded default model, which does the tasks of the embedded sample and no others.

A model card lies beside its weights, in ``qrag_tasks/embedded``; docs/embedded_model.md has what
it scores.
"""

from __future__ import annotations

import logging

from qrag_tasks.locations import embedded_model

logger = logging.getLogger("lm_eval.qrag_tasks")

NAME = "qrag-mini-4.5m"


def instead_of_none() -> str:
    """Return the folder of the embedded model for a run that names no model, and warn."""
    folder = str(embedded_model())
    logger.warning(
        "NO pretrained= GIVEN: using the embedded %s, which was trained on texts like those of "
        "the embedded sample and can do nothing else (%s)",
        NAME,
        folder,
    )
    return folder
