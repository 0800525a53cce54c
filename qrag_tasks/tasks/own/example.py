"""The example that ``qrag init`` writes: a corpus with comments, and data that run at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from qrag_tasks.errors import DataError
from qrag_tasks.tasks.own.corpus_file import FILE

_CORPUS = r'''
# What qrag needs to know of your data. `qrag check FOLDER` says what is wrong.
# This example runs as it is: cooks rate recipes, and what a cook liked before tells what they like.

# a-z, 0-9 and '-'; tables call the task own-{name}
name = "{name}"
license = "CC0-1.0"              # of the data; `qrag tasks` and results show it
version = "1.0"                  # raise it when prompts or answers become others
summary = "rate a recipe as the cook would"

[splits]                         # a file for each split that you have: dev, train, test
dev = "dev.jsonl"                # .jsonl, .csv, .tsv, .parquet, or a folder: see docs/own_data.md

[questions]
id = "id"                        # the columns of your file
user = "user"                    # who asks; leave it out where nobody in particular does
answer = "answer"                # the right answer
fields = ["recipe"]              # what templates may use of a question
query = "{{{{ recipe }}}}"           # what is searched for

[documents]
column = "documents"             # each question brings its own; or file = "documents.jsonl"
id = "id"
fields = ["recipe", "stars"]     # what templates may use of a document
text = "{{{{ recipe }}}}"            # what is searched in
answer = "stars"                 # the user's own answer to a document, where there is one
long = "recipe"                  # the field that may be cut, if a run asks for that
# date = "date"                  # for the retriever `recency`

[prompt]                         # Jinja; or style = "plain", or LaMP's wordings, "lamp1" to "lamp7"
# LaMP-3's wording here, as the small model of the package knows no other; a chat model takes any.
template = """
{{% for document in documents %}}
{{{{ document.stars }}}} is the score for "{{{{ document.recipe }}}}" {{{{ ", and " if not loop.last else ". " }}}}
{{%- endfor %}}
What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without further explanation. review: {{{{ recipe }}}}"""

[answer]
kind = "ratings"                 # or "labels", "choice", "text", "exact"
scale = [1, 5]                   # the lowest and the highest rating
# metrics = ["mae", "accuracy"]  # all of the kind without it
# tokens = 16                    # the longest answer
'''  # noqa: E501 - a prompt is one line

_PLAN = """\
# A grid over these data, for `qrag run`; docs/experiments.md has all fields.
name: {name}
data: ./
models:
  - name: embedded               # the small model of the package, for a first try alone: it was
                                 # trained for other tasks, and what it scores here says nothing
    # pretrained: Qwen/Qwen2.5-1.5B-Instruct
precisions: [bf16, int4-nf4]     # `qrag precisions` lists those that run on your machine
tasks: [own]
k: [0, 1, 5]                     # documents in the prompt
chat_template: true              # for chat models
"""

_DISHES = (
    ("lentil soup with cumin and lemon", "soup"),
    ("tomato soup with basil and cream", "soup"),
    ("miso soup with tofu and seaweed", "soup"),
    ("pumpkin soup with ginger", "soup"),
    ("apple cake with cinnamon", "cake"),
    ("lemon cake with poppy seeds", "cake"),
    ("chocolate cake with cherries", "cake"),
    ("carrot cake with walnuts", "cake"),
    ("green salad with mustard dressing", "salad"),
    ("potato salad with gherkins", "salad"),
    ("bean salad with red onion", "salad"),
    ("beetroot salad with feta", "salad"),
    ("mushroom risotto with thyme", "rice"),
    ("fried rice with egg and peas", "rice"),
    ("rice pudding with vanilla", "rice"),
    ("saffron rice with almonds", "rice"),
)
_TASTES: Mapping[str, Mapping[str, int]] = {
    "ada": {"soup": 5, "cake": 2, "salad": 4, "rice": 3},
    "ben": {"soup": 1, "cake": 5, "salad": 2, "rice": 4},
    "cleo": {"soup": 3, "cake": 4, "salad": 5, "rice": 1},
    "dan": {"soup": 4, "cake": 1, "salad": 3, "rice": 5},
    "eva": {"soup": 2, "cake": 5, "salad": 1, "rice": 3},
    "finn": {"soup": 5, "cake": 3, "salad": 1, "rice": 2},
    "gita": {"soup": 1, "cake": 4, "salad": 5, "rice": 5},
    "hugo": {"soup": 3, "cake": 1, "salad": 2, "rice": 4},
}
"""Cook -> kind of dish -> the stars that the cook gives it."""


def write_example(folder: Path) -> Sequence[Path]:
    """Write the example into a folder that is not there yet, or is empty, and return its files.

    :raises DataError: when the folder has something in it, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if (taken := next(folder.iterdir(), None)) is not None:
            raise DataError(
                f"{folder}: it is not empty ({taken.name}), and nothing of yours is written over. "
                f"Name a folder that is not there yet"
            )
        name = "".join(
            c if c in "abcdefghijklmnopqrstuvwxyz0123456789" else "-" for c in _of(folder)
        )
        name = name.strip("-")[:40] or "recipes"
        files = {
            FILE: _CORPUS.lstrip().format(name=name),
            "dev.jsonl": "".join(f"{json.dumps(question)}\n" for question in _questions()),
            "plan.yaml": _PLAN.format(name=name),
        }
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: cannot be written: {error.strerror}"
        ) from None
    return [folder / file for file in files]


def _of(folder: Path) -> str:
    return folder.resolve().name.lower()


def _questions() -> list[dict[str, object]]:
    """Return each cook's questions: a dish of each kind, with the cook's other dishes."""
    questions: list[dict[str, object]] = []
    for number, (cook, taste) in enumerate(_TASTES.items()):
        asked = {kind: 4 * place + number % 4 for place, kind in enumerate(taste)}
        documents = [
            {"id": f"d{place}", "recipe": dish.capitalize() + ".", "stars": taste[kind]}
            for place, (dish, kind) in enumerate(_DISHES)
            if place not in asked.values()
        ]
        for kind, place in asked.items():
            questions.append(
                {
                    "id": f"{cook}-{kind}",
                    "user": cook,
                    "recipe": _DISHES[place][0].capitalize() + ".",
                    "documents": documents,
                    "answer": taste[kind],
                }
            )
    return questions
