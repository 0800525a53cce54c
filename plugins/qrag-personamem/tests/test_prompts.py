"""Golden prompts: what PersonaMem's public code words so."""

from __future__ import annotations

from pathlib import Path

import pytest
from histories import CONTEXT, HISTORY, OPTIONS, QUESTION, lay
from qrag_tasks.errors import SettingsError

from qrag_personamem.prompts import RetrievalBaseline
from qrag_personamem.table import PERSONAMEM_TASKS

ASKED = (
    "Which fruit shall I buy?\n\n"
    "Find the most appropriate model response and give your final answer (a), (b), (c), or (d) "
    "after the special token <final_answer>.\n\n"
    """['(a) Pears?', "(b) Plums, isn't it?", '(c) Figs.', '(d) "Nuts".']"""
)
"""Question, instruction and options as PersonaMem's code for inference words its last turn."""
WHOLE = """\
[System]: Current user persona: Ada mends clocks.
User: I like pears.
Assistant: Noted.
[System]: Current user persona: Ada mends clocks.
User: No more pears, please: plums.
Assistant: Plums it is."""


def prompt(task: str, folder: Path, *documents: str) -> str:
    row = PERSONAMEM_TASKS[task]
    (sample,) = row.load(str(folder)).samples
    by_id = {item["id"]: item for item in sample.profile}
    return row.prompt(sample.input, [by_id[name] for name in documents])


def test_the_whole_history_up_to_the_question(tmp_path: Path) -> None:
    assert prompt("personamem-full-32k", lay(tmp_path)) == f"{WHOLE}\n\n{ASKED}"


@pytest.mark.parametrize("task", ["personamem-turns-32k", "personamem-sessions-32k"])
def test_without_documents_the_question_alone(tmp_path: Path, task: str) -> None:
    assert prompt(task, lay(tmp_path)) == ASKED


def test_messages_best_first(tmp_path: Path) -> None:
    assert prompt("personamem-turns-32k", lay(tmp_path), "turn-4", "turn-1", "turn-0") == (
        "# 3 most similar contexts to the question: \n"
        "User: No more pears, please: plums.\n"
        "User: I like pears.\n"
        f"[System]: Current user persona: Ada mends clocks.\n\n{ASKED}"
    )


def test_sessions(tmp_path: Path) -> None:
    first, second = WHOLE[: WHOLE.index("\n[System]")], WHOLE[WHOLE.index("\n[System]") + 1 :]
    assert prompt("personamem-sessions-32k", lay(tmp_path), "session-1", "session-0") == (
        f"# 2 most similar contexts to the question: \n{second}\n{first}\n\n{ASKED}"
    )


def test_the_baseline_s_own_wording(tmp_path: Path) -> None:
    row = PERSONAMEM_TASKS["personamem-turns-32k"]
    (sample,) = row.load(str(lay(tmp_path))).samples
    write = RetrievalBaseline()
    listed = "\n".join(OPTIONS)
    end = f"# Question: Which fruit shall I buy?\n\n# Choices: \n{listed}"
    assert write(row, sample.input, sample.profile[4:6]) == (
        "# 2 most similar contexts to the question: \n"
        "{'role': 'user', 'content': 'No more pears, please: plums.'}\n"
        f"{{'role': 'assistant', 'content': 'Plums it is.'}}\n\n{end}"
    )
    assert write(row, sample.input, ()) == end
    with pytest.raises(SettingsError, match="is for documents that are messages"):
        write(PERSONAMEM_TASKS["personamem-sessions-32k"], sample.input, ())


def test_samples(tmp_path: Path) -> None:
    later = {**QUESTION, "question_id": "q2", "end_index_in_shared_context": "7"}
    early = {**QUESTION, "question_id": "q0", "end_index_in_shared_context": "0"}
    folder = lay(tmp_path, [early, QUESTION, later])
    data = PERSONAMEM_TASKS["personamem-turns-32k"].load(str(folder))
    none, sample, last = data.samples
    assert data.ids == ("q0", "q1", "q2")
    assert none.profile == ()
    assert [item["text"] for item in sample.profile] == [one["content"] for one in HISTORY[:6]]
    assert len(last.profile) == 7
    assert [item["date"] for item in sample.profile] == ["1", "2", "3", "4", "5", "6"]
    assert (sample.user, sample.target) == ("persona-7", "(b)")
    assert sample.attributes == {
        "question_type": "recall_user_shared_facts",
        "topic": "foodRecommendation",
        "distance_blocks": 0,
        "distance_tokens": 12,
        "context_tokens": 40,
    }
    row = PERSONAMEM_TASKS["personamem-sessions-32k"]
    sessions = row.load(str(folder)).samples
    assert [[item["id"] for item in one.profile] for one in sessions] == [
        [],
        ["session-0", "session-1"],
        ["session-0", "session-1"],
    ]
    assert sessions[2].profile[1]["text"].endswith("\nUser: And what came later.")
    assert row.query(sample.input) == "Which fruit shall I buy?"


def test_an_unknown_distance_is_left_out(tmp_path: Path) -> None:
    folder = lay(tmp_path, [{**QUESTION, "distance_to_ref_in_tokens": ""}], [{CONTEXT: HISTORY}])
    (sample,) = PERSONAMEM_TASKS["personamem-full-32k"].load(str(folder)).samples
    assert "distance_tokens" not in sample.attributes
    assert sample.attributes["distance_blocks"] == 0
