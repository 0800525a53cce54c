"""What a prompt's wording weighs: ``python benchmarks/wording.py --model FOLDER --data FOLDER``.

Lets a chat model rate reviews by three wordings of one question, with the same k reviews by the
same user in each, and prints the mean absolute error. Data, BM25, prompts and answers are this
script's own, so that its figures for LaMP's wording also check ours from outside; it needs
rank_bm25, torch and transformers.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rank_bm25 import BM25Okapi
from transformers import AutoModelForCausalLM, AutoTokenizer

Documents = Sequence[Mapping[str, str]]


ASKED = "What is the score of the following review on a scale of 1 to 5?"


def lamp(review: str, documents: Documents) -> str:
    """Word it as LaMP does."""
    scores = [f'{d["score"]} is the score for "{d["text"]}"' for d in documents]
    asked = f"{ASKED} just answer with 1, 2, 3, 4, or 5 without further explanation."
    return (f"{', and '.join(scores)} . " if scores else "") + f"{asked} review: {review}"


def examples(review: str, documents: Documents) -> str:
    """Word it as examples, the last of which is open."""
    shown = "".join(f"Review: {d['text']}\nScore: {d['score']}\n\n" for d in documents)
    return f"{shown}{ASKED} Just answer with 1, 2, 3, 4, or 5.\n\nReview: {review}\nScore:"


def told(review: str, documents: Documents) -> str:
    """Say what the documents are."""
    shown = "\n".join(f'- "{d["text"]}" (score: {d["score"]})' for d in documents)
    heading = "Here are earlier reviews by the same user, each with the score they gave:"
    return (f"{heading}\n{shown}\n\n" if documents else "") + (
        "Predict the score (1 to 5) that this user gave with the following review. "
        f'Answer with the number only.\nReview: "{review}"'
    )


WORDINGS: Sequence[Callable[[str, Documents], str]] = (lamp, examples, told)


def best(review: str, profile: Documents, k: int) -> Documents:
    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    if not k or not profile:
        return []
    scores = BM25Okapi([words(document["text"]) for document in profile]).get_scores(words(review))
    return [profile[i] for i in sorted(range(len(profile)), key=lambda i: -scores[i])[:k]]


def rating(model: Any, tokenizer: Any, prompt: str) -> int:
    """Return the first number of the answer; 0 where there is none."""
    chat = [{"role": "user", "content": prompt}]
    inputs = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    ).to(model.device)
    with torch.inference_mode():
        out = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    answer = tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    found = re.search("[1-5]", answer)
    return int(found[0]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="a checkpoint with a chat template")
    parser.add_argument("--data", required=True, type=Path, help="data root with lamp3u")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--k", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--samples", type=int, default=100, help="drawn with seed 0")
    options = parser.parse_args()
    folder = options.data / "lamp3u"
    golds = json.loads((folder / "outputs.json").read_bytes())["golds"]
    gold = {entry["id"]: int(entry["output"]) for entry in golds}
    questions = json.loads((folder / "questions.json").read_bytes())
    drawn = set(random.Random(0).sample([q["id"] for q in questions], options.samples))
    questions = [question for question in questions if question["id"] in drawn]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=options.dtype)
    model = model.eval().to(device)
    for k in options.k:
        for wording in WORDINGS:
            ratings: Counter[int] = Counter()
            error = 0
            for question in questions:
                review = question["input"].partition(" review: ")[2]
                prompt = wording(review, best(review, question["profile"], k))
                rated = rating(model, tokenizer, prompt)
                ratings[rated] += 1
                error += abs(rated - gold[question["id"]])
            counts = ", ".join(f"{n} x {score}" for score, n in sorted(ratings.items()))
            print(f"k={k} {wording.__name__:8} MAE {error / len(questions):.3f}  rated {counts}")


if __name__ == "__main__":
    main()
