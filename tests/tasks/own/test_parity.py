"""LaMP's own data, turned into somebody's own: the same prompts, rankings and scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS
from qrag_tasks.tasks.own.checking import check

CORPUS = """
name = "{name}"
license = "as its source says"
[splits]
dev = "dev.jsonl"
[questions]
query = '''{{{{ question.partition("{marker}")[2].strip() }}}}'''
[documents]
fields = {fields}
text = "{text}"
answer = "{answer}"
[prompt]
{prompt}
[answer]
{kind}
tokens = {tokens}
"""
REVIEWS = {
    "marker": "review:",
    "fields": '["text", "score"]',
    "text": "{{ text }}",
    "answer": "score",
    "kind": 'kind = "ratings"\nscale = [1, 5]\nmetrics = ["mae", "rmse", "mae_lamp", "accuracy"]',
    "tokens": 16,
}
PAPERS = {
    "marker": ":",
    "fields": '["title", "abstract"]',
    "text": "{{ title }} {{ abstract }}",
    "answer": "title",
    "kind": 'kind = "text"\nmetrics = ["rouge1", "rougeL", "rouge1_lamp"]',
    "tokens": 32,
}
TEMPLATES = {
    "lamp3u": """template = '''
{% for d in documents %}
{{ d.score }} is the score for "{{ d.text }}" {{ ", and " if not loop.last else ". " }}
{%- endfor %}
{{- question }}'''""",
    "lamp5u": """template = '''
{% for d in documents %}
"{{ d.title }}" is a title for "{{ d.abstract }}" {{ ", and " if not loop.last else ". " }}
{%- endfor %}
{{- "Following the given patterns " if documents }}{{ question }}'''""",
}
ANSWERS = (
    *("5", "4.5", " 3 ", "I'd rate it 4 stars.", "2/5", "no", "", "<think>4", "47"),
    *("A Study of Things", 'Sure! Here is a title: "Neural Parsing"', "Title: x\nand more"),
)


def own_data(root: Path, name: str, folder: Path, prompt: str) -> Path:
    """Turn the flat files of a task of LaMP into own data."""
    questions = json.loads((root / name / "questions.json").read_bytes())
    outputs = json.loads((root / name / "outputs.json").read_bytes())
    golds = {gold["id"]: gold["output"] for gold in outputs["golds"]}
    folder.mkdir()
    fields = REVIEWS if name == "lamp3u" else PAPERS
    corpus = CORPUS.format(name=name, prompt=prompt, **fields)
    (folder / "corpus.toml").write_text(corpus, encoding="utf-8")
    with (folder / "dev.jsonl").open("w", encoding="utf-8") as file:
        for question in questions:
            line = {
                "id": question["id"],
                "question": question["input"],
                "documents": question["profile"],
                "answer": golds[question["id"]],
            }
            file.write(json.dumps(line) + "\n")
    return folder


@pytest.mark.parametrize("name", ["lamp3u", "lamp5u"])
@pytest.mark.parametrize("how", ["a template", "a built-in style"])
def test_own_data_are_asked_ranked_and_scored_as_lamp_is(
    name: str, how: str, real_data: Path, tmp_path: Path
) -> None:
    prompt = TEMPLATES[name] if how == "a template" else f'style = "{name[:5]}"'
    folder = own_data(real_data, name, tmp_path / "own", prompt)
    assert not list(check(folder).mistakes.lines())
    for k in (0, 1, 5):
        lamp, own = (
            PromptSource.of(TASKS[task], Depth(k), Settings(data=str(data)))
            for task, data in ((name, real_data), ("own", folder))
        )
        everything = range(len(lamp.data.samples))
        ours, theirs = (each.prompts(everything, None, None) for each in (own, lamp))
        assert len(ours) > 400
        for one, two in zip(ours, theirs, strict=True):
            assert one.prompt == two.prompt
            assert one.ranking == two.ranking
            assert one.sample.target == two.sample.target
    golds = [sample.target for sample in own.data.samples][:60]
    for text in ANSWERS:
        for gold in golds:
            theirs = lamp.scores.of_text(text, gold, False, 3, 16)
            assert own.scores.of_text(text, gold, False, 3, 16) == theirs
    names = [metric.name for metric in own.scores.metrics]
    chosen = (REVIEWS if name == "lamp3u" else PAPERS)["kind"]
    assert names
    assert all(f'"{metric}"' in str(chosen) for metric in names)
