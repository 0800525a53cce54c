"""No model class of lm_eval's gets a prompt that it would cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from completion_server import completion_server
from lamp_files import REVIEW_INPUT, papers, reviews, write_flat
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from server_runs import Server, docs_asked

from qrag_tasks.errors import BudgetError, QragError, SettingsError
from qrag_tasks.locations import task_yamls

pytest.importorskip("torch", reason="the hf extra is not installed")
pytest.importorskip("aiohttp", reason="lm_eval[api] is not installed")


@pytest.fixture
def server() -> Iterator[Server]:
    with completion_server() as found:
        yield found


@pytest.fixture
def many_papers(tmp_path: Path) -> Path:
    """One user with more than 4,096 tokens of papers."""
    questions, outputs = papers(1, profile=200)
    for item in questions[0]["profile"]:
        item["abstract"] += " They sing in the morning and at night." * 6
    return write_flat(tmp_path / "many", "lamp5u", questions, outputs)


def evaluate(
    server: Server, model: Path, data: Path, task: str, metadata: Any = None, **arguments: Any
) -> list[dict[str, Any]]:
    """Run ``--model local-completions`` and return the docs."""
    known = {"model": str(model), "tokenizer": str(model), **arguments}
    return docs_asked("local-completions", server, known, data, task, metadata)


@pytest.mark.parametrize("length", [{}, {"max_length": 1000}])
@pytest.mark.parametrize("concurrent", [1, 4])
def test_documents_are_fitted_to_what_the_class_sends(
    server: Server, many_papers: Path, tiny_model: Path, length: Any, concurrent: int
) -> None:
    (doc,) = evaluate(
        server, tiny_model, many_papers, "lamp5u_rag_k10", num_concurrent=concurrent, **length
    )
    (sent,) = server[1]
    told = length.get("max_length", 2048)
    assert doc["context_tokens"] == told - 1
    assert len(sent["prompt"][0]) == doc["prompt_tokens"] <= told - 1 - sent["max_tokens"]
    assert bool(doc["dropped"]) == (told == 1000)
    assert sent["max_tokens"] == doc["answer_tokens"] == 32


def test_a_window_of_the_tasks_name_is_filled_where_the_model_is_told_to_have_it(
    server: Server, many_papers: Path, tiny_model: Path
) -> None:
    with pytest.raises(
        SettingsError,
        match=r"fixes 4096 tokens, but the model's window is 2047 tokens: prompts would be cut. "
        r"Ask for lamp5u_rag_k10, .* say so: max_length=4097 in --model_args",
    ):
        evaluate(server, tiny_model, many_papers, "lamp5u_rag_kmax4k")
    with pytest.raises(SettingsError, match=r"Ask for lamp5u_rag_kmax4k\. .*max_length=8193 "):
        evaluate(server, tiny_model, many_papers, "lamp5u_rag_kmax8k", max_length=4097)
    assert server[1] == []
    (doc,) = evaluate(server, tiny_model, many_papers, "lamp5u_rag_kmax4k", max_length=4097)
    (sent,) = server[1]
    assert len(sent["prompt"][0]) == doc["prompt_tokens"] > 3900
    assert doc["dropped"]


def test_more_context_than_the_server_is_said_to_take(
    server: Server, many_papers: Path, tiny_model: Path
) -> None:
    with pytest.raises(SettingsError, match=r"window is 2047 .*\. Ask for 2047 or less\. If"):
        evaluate(server, tiny_model, many_papers, "lamp5u_rag_k1", {"context_tokens": 2048})


def test_a_prompt_counted_with_another_tokenizer_is_refused_before_it_is_sent(
    server: Server, tmp_path: Path, tiny_model: Path
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]").save_pretrained(
        tmp_path / "words"
    )
    questions, outputs = reviews(1, profile=1)
    questions[0]["input"] = REVIEW_INPUT + "extraordinarily " * 400
    write_flat(tmp_path, "lamp3u", questions, outputs)
    other = {"tokenizer": str(tmp_path / "words")}
    with pytest.raises(BudgetError, match=r"lamp3u_rag_k1, sample 100: the prompt is .*be cut"):
        evaluate(server, tiny_model, tmp_path, "lamp3u_rag_k1", other, max_length=1000)
    assert server[1] == []


def test_what_is_sent_as_text_is_sent_whole(
    server: Server, many_papers: Path, tiny_model: Path
) -> None:
    (doc,) = evaluate(
        server, tiny_model, many_papers, "lamp5u_rag_k10", tokenized_requests=False, max_length=1000
    )
    assert server[1][0]["prompt"] == doc["prompt"]
    assert doc["prompt_tokens"] <= 999 - 32


def test_a_server_is_not_told_to_cut(server: Server, many_papers: Path, tiny_model: Path) -> None:
    with pytest.raises(SettingsError, match="truncate=True has prompts cut"):
        evaluate(server, tiny_model, many_papers, "lamp5u_rag_k1", truncate=True)


def test_a_model_built_in_python_is_asked_what_it_takes(
    tiny_model: Path, many_papers: Path
) -> None:
    from lm_eval.models.huggingface import HFLM

    manager = TaskManager(
        include_path=str(task_yamls()), include_defaults=False, metadata={"data": str(many_papers)}
    )
    model = HFLM(pretrained=str(tiny_model), device="cpu", max_length=700)
    results = simple_evaluate(
        model=model, tasks=["lamp5u_rag_k10"], task_manager=manager, bootstrap_iters=0
    )
    assert results is not None
    (sample,) = results["samples"]["lamp5u_rag_k10"]
    assert sample["doc"]["context_tokens"] == 700
    assert sample["doc"]["dropped"]
    assert sample["doc"]["prompt_tokens"] == len(model.tok_encode(sample["doc"]["prompt"]))
    with pytest.raises(QragError, match="window is 700"):
        simple_evaluate(model=model, tasks=["lamp5u_rag_kmax4k"], task_manager=manager)
