"""Output folders of lm_eval by hand: results and the samples beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TIME = "2026-11-22T21-24-51.704528"


def rating(
    number: int, prompt: str, answer: str, gold: int, user: str = "", **doc: Any
) -> dict[str, Any]:
    """Return one logged sample of a rating task of ours."""
    valid = answer in set("12345")
    error = abs(int(answer) - gold) if valid else 4
    return {
        "doc_id": number,
        "doc": {
            "id": f"9{number:04}",
            "user": user or f"user-{number}",
            "target": str(gold),
            "ranked": ["a"],
            "kept": ["a"],
            "dropped": [],
            "prompt": prompt,
            "prompt_hash": "0" * 64,
            **doc,
        },
        "target": str(gold),
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": [], "max_gen_toks": 16}}},
        "resps": [[answer]],
        "filtered_resps": [answer],
        "filter": "none",
        "metrics": ["mae", "rmse", "accuracy", "valid_rate"],
        "mae": float(error),
        "rmse": float(error**2),
        "accuracy": float(error == 0),
        "valid_rate": float(valid),
    }


DIRECTIONS = {"mae": False, "rmse": False, "accuracy": True, "valid_rate": True}
FACTS = {
    "data_sha256": "d" * 64,
    "protocol": "qrag",
    "retriever": "bm25",
    "order": "best-first",
    "prompt": "lamp",
    "filter": "none",
    "index": "lamp",
    "fill": "exact",
    "split": "dev",
    "oversized": "skip",
    "answer": "generate",
    "retriever_sha256": "r" * 64,
}


def write_run(
    folder: Path,
    samples: Sequence[Mapping[str, Any]],
    task: str = "lamp3u_rag_k1",
    facts: Mapping[str, Any] | None = None,
    model_args: Mapping[str, Any] | None = None,
    time: str = TIME,
    **changes: Any,
) -> Path:
    """Write a run of one task with a mean for every metric; ``rmse`` is a root of a mean.

    :param facts: what our tasks say of themselves; by default k and the rest out of the task.
    :param changes: of the results file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(sample, ensure_ascii=False) + "\n" for sample in samples)
    (folder / f"samples_{task}_{time}.jsonl").write_text(text, encoding="utf-8")
    lamp, _, k = task.partition("_rag_k")
    config: dict[str, Any] = {"task": task}
    if k:
        config["dataset_kwargs"] = {"task": lamp, "k": int(k) if k.isdecimal() else k}
        config["metadata"] = {"qrag": {**FACTS, **(facts or {})}}
    scores: dict[str, Any] = {"alias": task}
    for name in samples[0]["metrics"]:
        score = np.mean([sample[name] for sample in samples])
        scores[f"{name},none"] = float(np.sqrt(score) if name == "rmse" else score)
        scores[f"{name}_stderr,none"] = 0.1
    body = {
        "results": {task: scores},
        "configs": {task: config},
        "higher_is_better": {task: DIRECTIONS},
        "config": {
            "model": "hf",
            "model_args": {"pretrained": "org/model-1b", "dtype": "bfloat16", **(model_args or {})},
            "gen_kwargs": {},
        },
        "chat_template_sha": "c" * 64,
        "system_instruction_sha": None,
        "fewshot_as_multiturn": False,
    }
    for key, value in changes.items():
        body[key] = {**body.get(key, {}), **value} if isinstance(value, dict) else value
    (folder / f"results_{time}.json").write_text(json.dumps(body), encoding="utf-8")
    return folder


QUANTIZED = {"load_in_4bit": True}
