"""Every inner name of other projects that is replaced or read here, and what guards it.

An inner name is one that its project does not document, or one that is documented and gets another
content from us. A release may take it away without a word; this table says what is lost then.
``qrag doctor`` looks whether each name is there, docs/upstream.md is this table, and tests hold it
to the code: what is replaced in lm_eval, and every name with an underscore, has a row.
"""

from __future__ import annotations

from qrag_tasks.upstream.inner_name import GUARDS, InnerName
from qrag_tasks.upstream.library_names import LIBRARY_NAMES
from qrag_tasks.upstream.lm_eval_names import LM_EVAL_NAMES

__all__ = ["GUARDS", "INNER_NAMES", "InnerName", "as_markdown"]

INNER_NAMES: tuple[InnerName, ...] = (*LM_EVAL_NAMES, *LIBRARY_NAMES)
"""All of them, in the order in which they are told."""


def as_markdown() -> str:
    """Return the table as docs/upstream.md has it."""
    lines = [
        "| name | what is done | by | for what | where it is not there | what is lost |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{row.name}` | {row.use} | `{row.by.replace(':', '.')}` | {row.reason} | {row.guard} | "
        f"{row.lost} |"
        for row in INNER_NAMES
    ]
    return "\n".join(lines) + "\n"
