"""lm_eval's requests: which are ours, and how to name one."""

from __future__ import annotations

from typing import Any


def is_ours(request: Any) -> bool:
    """Tell whether a request is of a task of ours."""
    doc = getattr(request, "doc", None)
    return isinstance(doc, dict) and "prompt_hash" in doc


def name_of(request: Any) -> str:
    """Return which task and sample a request is of.

    :param request: an ``Instance``, or the texts (context, continuation) that ``TemplateLM`` makes
        of it.
    """
    if isinstance(request, tuple):
        return f"the prompt that begins with {str(request[0])[:60]!r}"
    if is_ours(request):
        return f"{request.task_name}, sample {request.doc['id']}"
    task = getattr(request, "task_name", None) or "a request"
    return f"{task}, doc {getattr(request, 'doc_id', None)}"
