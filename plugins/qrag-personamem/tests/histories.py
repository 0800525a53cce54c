"""PersonaMem's two files, written by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CONTEXT = "c" * 64
HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "Current user persona: Ada mends clocks."},
    {"role": "user", "content": "User: I like pears."},
    {"role": "assistant", "content": "Assistant: Noted."},
    {"role": "system", "content": "Current user persona: Ada mends clocks."},
    {"role": "user", "content": "No more pears, please: plums."},
    {"role": "assistant", "content": "Plums it is."},
    {"role": "user", "content": "User: And what came later."},
]
OPTIONS = ["(a) Pears?", "(b) Plums, isn't it?", "(c) Figs.", '(d) "Nuts".']
QUESTION: dict[str, Any] = {
    "persona_id": "7",
    "question_id": "q1",
    "question_type": "recalling_facts_mentioned_by_the_user",
    "topic": "foodRecommendation",
    "context_length_in_tokens": "40",
    "context_length_in_letters": "200",
    "distance_to_ref_in_blocks": "0",
    "distance_to_ref_in_tokens": "12",
    "num_irrelevant_tokens": "0",
    "distance_to_ref_proportion_in_context": "30.00%",
    "user_question_or_message": "Which fruit shall I buy?",
    "correct_answer": "(b)",
    "all_options": str(OPTIONS),
    "shared_context_id": CONTEXT,
    "end_index_in_shared_context": "6",
}


def lay(
    folder: Path,
    questions: Sequence[Mapping[str, Any]] = (QUESTION,),
    contexts: Sequence[Any] | None = None,
    size: str = "32k",
) -> Path:
    """Write the two files of one size, the contexts a line each."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for question in questions for name in question))
    with (folder / f"questions_{size}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names or list(QUESTION))
        writer.writeheader()
        writer.writerows(questions)
    lines = [{CONTEXT: HISTORY}] if contexts is None else contexts
    text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    (folder / f"shared_contexts_{size}.jsonl").write_text(text, encoding="utf-8")
    return folder
