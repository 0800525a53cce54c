"""Sample logs by hand, in the form of lm_eval's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIME = "2026-11-22T21-24-51.704528"


def record(question: str, *answers: str, doc_id: int = 0, **changes: Any) -> dict[str, Any]:
    """Return one line of a log, with some fields that differ."""
    doc = {
        "id": question,
        "user": "u",
        "target": "2",
        "ranked": ["d"],
        "kept": ["d"],
        "prompt": "p",
        "prompt_hash": "f" * 64,
    }
    return {
        "doc_id": doc_id,
        "doc": doc | changes.pop("doc", {}),
        "target": "2",
        "arguments": {"gen_args_0": {"arg_0": "<user>p", "arg_1": {"until": []}}},
        "resps": [[answer] for answer in answers],
        "filtered_resps": list(answers),
        "filter": "none",
        "metrics": ["mae"],
        "mae": 1.0,
    } | changes


def write_log(
    folder: Path, *lines: Mapping[str, Any] | str, task: str = "lamp3u_rag_k5", time: str = TIME
) -> Path:
    """Write a log of these lines, objects or texts, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{time}.jsonl"
    texts = (line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
    path.write_text("".join(texts), encoding="utf-8")
    return path


def write_results(log: Path, total: int, task: str = "lamp3u_rag_k5", **provenance: Any) -> Path:
    """Write the results file beside a log: so many questions, and what the task says of itself."""
    path = log.with_name(f"results_{log.stem.rpartition('_')[2]}.json")
    body = {
        "results": {task: {}},
        "configs": {task: {"metadata": {"qrag": provenance}}},
        "config": {"model": "hf", "model_args": {"pretrained": "m", "load_in_4bit": True}},
        "n-samples": {task: {"original": total, "effective": total}},
    }
    path.write_text(json.dumps(body), encoding="utf-8")
    return path
