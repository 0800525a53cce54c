"""Small LaMP files, made in memory and written where a test wants them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REVIEW_INPUT = (
    "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, "
    "or 5 without further explanation. review: "
)
PAPER_INPUT = "Generate a title for the following abstract of a paper: "


def reviews(count: int = 3, profile: int = 4) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a small LaMP-3 data set: the questions and the outputs, as the files hold them."""
    questions = [
        {
            "id": str(100 + i),
            "input": f"{REVIEW_INPUT}The kettle number {i} boils fast and pours well.",
            "profile": [
                {
                    "id": f"{100 + i}{j}",
                    "text": f"Kettle {i}, cup {j}, boils.",
                    "score": str(j % 5 + 1),
                }
                for j in range(profile)
            ],
        }
        for i in range(count)
    ]
    golds = [{"id": q["id"], "output": str(i % 5 + 1)} for i, q in enumerate(questions)]
    return questions, {"task": "LaMP_3", "golds": golds}


def papers(count: int = 3, profile: int = 4) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a small LaMP-5 data set."""
    questions = [
        {
            "id": str(200 + i),
            "input": f"{PAPER_INPUT}We study how birds number {i} sing: loudly.",
            "profile": [
                {
                    "id": f"{200 + i}{j}",
                    "title": f"On bird {j}",
                    "abstract": f"Bird {j} of {i} sings.",
                }
                for j in range(profile)
            ],
        }
        for i in range(count)
    ]
    golds = [{"id": q["id"], "output": f"The songs of bird {i}"} for i, q in enumerate(questions)]
    return questions, {"task": "LaMP_5", "golds": golds}


def write_flat(root: Path, name: str, questions: Any, outputs: Any) -> Path:
    """Write one task in the flat layout below ``root`` and return ``root``."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "questions.json").write_text(json.dumps(questions), encoding="utf-8")
    (folder / "outputs.json").write_text(json.dumps(outputs), encoding="utf-8")
    return root
