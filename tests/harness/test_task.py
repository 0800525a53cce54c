"""The lm_eval task class: what lm_eval sees, logs and scores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from lamp_files import REVIEW_INPUT, papers, reviews, write_flat
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table
from plugin_files import InstallPlugin

from qrag_tasks.errors import BudgetError, DataError, RetrieverError, SettingsError
from qrag_tasks.locations import task_yamls
from qrag_tasks.tasks.own.example import write_example

TASKS = ["lamp3u_rag_k3", "lamp5u_rag_k3"]


def evaluate(metadata: dict[str, Any], tasks: list[str] = TASKS, **options: Any) -> dict[str, Any]:
    """Run lm_eval's dummy model, whose every answer is "lol", over our tasks."""
    manager = TaskManager(include_path=str(task_yamls()), include_defaults=False, metadata=metadata)
    results = simple_evaluate(
        model="dummy", tasks=tasks, task_manager=manager, bootstrap_iters=100, **options
    )
    assert results is not None
    return dict(results)


def test_scores_of_answers_without_a_rating(small_data: Path) -> None:
    results = evaluate({"data": str(small_data)})["results"]
    ratings = results["lamp3u_rag_k3"]
    # golds 1, 2, 3: the far end of the scale is 4, 3 and 2 away.
    assert ratings["mae,none"] == ratings["mae_lamp,none"] == 3.0
    assert ratings["rmse,none"] == pytest.approx(((16 + 9 + 4) / 3) ** 0.5)
    assert ratings["accuracy,none"] == ratings["valid_rate,none"] == 0.0
    titles = results["lamp5u_rag_k3"]
    assert titles["rougeL,none"] == 0.0
    assert titles["valid_rate,none"] == 1.0
    for name in ("mae", "rmse", "accuracy", "mae_lamp", "rmse_lamp", "valid_rate"):
        assert isinstance(ratings[f"{name}_stderr,none"], float)
    for name in ("rouge1", "rougeL", "rouge1_lamp", "rougeL_lamp", "valid_rate"):
        assert isinstance(titles[f"{name}_stderr,none"], float)


@pytest.mark.parametrize(
    ("task", "choices"),
    [
        ("lamp1u_rag_k1", {}),
        ("lamp3u_rag_k1", {}),
        ("lamp3u_rag_k1", {"protocol": "yazan2024"}),
        ("lamp3u_rag_k1", {"answer": "likelihood"}),
        ("lamp5u_rag_k1", {}),
    ],
)
def test_results_and_logs_hold_every_metric_once(task: str, choices: dict[str, str]) -> None:
    results = evaluate({"data": "mini", **choices}, tasks=[task], limit=5)
    names = set(results["higher_is_better"][task])
    found = {key.partition(",")[0] for key in results["results"][task] if "," in key}
    assert not [name for name in names if name.endswith("_stderr")]
    assert found - {f"{name}_stderr" for name in found} <= names
    assert {f"{name}_stderr" for name in found & names} == found - names
    # Of the run: the dummy model has no tokenizer.
    assert names - found <= {"runaway_rate"}
    for name in found - names:
        assert isinstance(results["results"][task][f"{name},none"], float)
    for sample in results["samples"][task]:
        assert set(sample["metrics"]) == found & names
    rows = [line.split("|")[5].strip() for line in make_table(results).splitlines()[2:]]
    assert sorted(rows) == sorted((found & names) - {"unfinished_thought_rate"})
    assert "N/A" not in make_table(results)


def test_a_group_of_the_users_has_a_standard_error(tmp_path: Path, small_data: Path) -> None:
    group = "group: mine\ntask: [lamp3u_rag_k1, lamp3u_rag_k3]\naggregate_metric_list: "
    (tmp_path / "mine.yaml").write_text(f"{group}[{{metric: rmse}}]\n", encoding="utf-8")
    manager = TaskManager(
        include_path=[str(task_yamls()), str(tmp_path)],
        include_defaults=False,
        metadata={"data": str(small_data)},
    )
    results = simple_evaluate(model="dummy", tasks=["mine"], task_manager=manager)
    assert results is not None
    scores = {key: value for key, value in results["groups"]["mine"].items() if "rmse" in key}
    assert sorted(scores) == ["rmse,none", "rmse_stderr,none"]
    assert isinstance(scores["rmse_stderr,none"], float)


def test_no_standard_errors_where_none_are_asked_for(small_data: Path) -> None:
    manager = TaskManager(
        include_path=str(task_yamls()), include_defaults=False, metadata={"data": str(small_data)}
    )
    results = simple_evaluate(
        model="dummy", tasks=TASKS[:1], task_manager=manager, bootstrap_iters=0
    )
    assert results is not None
    for name in ("mae", "rmse"):
        assert results["results"][TASKS[0]][f"{name}_stderr,none"] == "N/A"


def test_every_logged_sample_accounts_for_its_documents(small_data: Path) -> None:
    samples = evaluate({"data": str(small_data)})["samples"]["lamp3u_rag_k3"]
    assert len(samples) == 3
    for sample in samples:
        doc = sample["doc"]
        assert doc["requested"] == 3
        assert doc["profile_size"] == 4
        assert len(doc["kept"]) == 3
        assert doc["dropped"] == []
        assert doc["kept"] == doc["ranked"]
        assert doc["shortfall"] is None
        assert doc["prompt_hash"] == hashlib.sha256(doc["prompt"].encode()).hexdigest()
        assert sample["arguments"][0][0] == doc["prompt"]
        assert sample["target"] == doc["target"]
        json.dumps(doc)


def test_results_say_what_was_run(small_data: Path) -> None:
    results = evaluate({"data": str(small_data), "retriever": "random:seed=3"})
    choices = results["configs"]["lamp3u_rag_k3"]["metadata"]["qrag"]
    assert choices["retriever"] == "random:seed=3"
    assert choices["retriever_from"].startswith("qrag-tasks ")
    assert choices["data"].endswith("lamp3u/questions.json")
    assert len(choices["data_sha256"]) == len(choices["retriever_sha256"]) == 64
    assert choices["retriever_options"] == {"seed": 3}
    assert choices["retriever_identity"] == {}
    assert choices["retriever_sees_gold"] is False
    assert (choices["prompt"], choices["prompt_from"]) == ("lamp", choices["retriever_from"])


def test_an_upper_bound_is_marked(small_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = evaluate({"data": str(small_data), "retriever": "oracle"})
    assert results["configs"]["lamp3u_rag_k3"]["metadata"]["qrag"]["retriever_sees_gold"] is True
    assert "its scores are an upper bound" in caplog.text


PLUGIN = """
from qrag_tasks import ScoringRetriever, hookimpl

class Lowest(ScoringRetriever):
    needs = ("target",)
    def score(self, query):
        assert query.gold is None
        return [-float(d.target) for d in query.documents]

def numbered(task, question, items):
    lines = [f"{n}. {item['text']}" for n, item in enumerate(items, start=1)]
    return "\\n".join([*lines, question])

@hookimpl
def qrag_register_retrievers(register):
    register("lowest", Lowest)

@hookimpl
def qrag_register_prompt_styles(register):
    register("numbered", numbered)
"""


def test_a_retriever_and_a_prompt_style_of_a_third_party(
    small_data: Path, install: InstallPlugin
) -> None:
    install("qrag_third", PLUGIN)
    results = evaluate(
        {"data": str(small_data), "retriever": "lowest", "prompt": "numbered"}, tasks=TASKS[:1]
    )
    doc = results["samples"]["lamp3u_rag_k3"][0]["doc"]
    assert doc["ranked"] == ["1000", "1001", "1002"]
    assert doc["prompt"].startswith("1. Kettle 0, cup 0, boils.\n2. Kettle 0, cup 1")
    assert doc["prompt"].endswith("boils fast and pours well.")
    choices = results["configs"]["lamp3u_rag_k3"]["metadata"]["qrag"]
    assert choices["retriever_from"] == choices["prompt_from"] == "qrag_third 0.3"


def test_limit_and_samples(small_data: Path) -> None:
    limited = evaluate({"data": str(small_data)}, limit=2)["samples"]["lamp3u_rag_k3"]
    assert [s["doc"]["id"] for s in limited] == ["100", "101"]
    chosen = evaluate(
        {"data": str(small_data)}, samples={"lamp3u_rag_k3": [2, 0], "lamp5u_rag_k3": [1]}
    )["samples"]
    assert [s["doc"]["id"] for s in chosen["lamp3u_rag_k3"]] == ["102", "100"]
    assert [s["doc_id"] for s in chosen["lamp3u_rag_k3"]] == [2, 0]
    assert [s["doc"]["id"] for s in chosen["lamp5u_rag_k3"]] == ["201"]
    with pytest.raises(SettingsError, match="--samples 7 is outside 0 to 2"):
        evaluate({"data": str(small_data)}, samples={"lamp3u_rag_k3": [7]}, tasks=TASKS[:1])


def test_fewshot_and_request_cache_cannot_change_the_prompts(
    small_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = evaluate({"data": str(small_data)})["samples"]
    asked = evaluate({"data": str(small_data)}, num_fewshot=2, cache_requests=True)["samples"]
    other = evaluate({"data": str(small_data), "retriever": "first"}, cache_requests=True)[
        "samples"
    ]
    for name in TASKS:
        assert [s["prompt_hash"] for s in plain[name]] == [s["prompt_hash"] for s in asked[name]]
    assert plain["lamp3u_rag_k3"][0]["prompt_hash"] != other["lamp3u_rag_k3"][0]["prompt_hash"]


def test_predict_only(small_data: Path) -> None:
    results = evaluate({"data": str(small_data)}, predict_only=True)
    assert results["samples"]["lamp3u_rag_k3"][0]["resps"] == [["lol"]]
    assert "mae,none" not in results["results"]["lamp3u_rag_k3"]


def test_texts_reach_the_model_to_the_letter_but_for_chat_markers(tmp_path: Path) -> None:
    nasty = "{{ braces }} {% if %} \u202e t\u00e9 \U0001f375 [bold] <br> a < b"
    questions, outputs = reviews(1, profile=2)
    questions[0]["input"] = f"{REVIEW_INPUT}{nasty} <|im_end|>"
    questions[0]["profile"][0]["text"] = f"{nasty} </s> [/INST]"
    write_flat(tmp_path, "lamp3u", questions, outputs)
    (sample,) = evaluate({"data": str(tmp_path)}, tasks=TASKS[:1])["samples"]["lamp3u_rag_k3"]
    prompt = sample["arguments"][0][0]
    assert prompt.count(nasty) == 2
    assert prompt.endswith(f"review: {nasty} < |im_end|>")
    assert f'"{nasty} < /s> [ /INST]"' in prompt
    assert sample["doc"]["markers_broken"] == 3


def test_small_and_empty_profiles_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions, outputs = reviews(3, profile=4)
    questions[0]["profile"] = []
    questions[1]["profile"] = questions[1]["profile"][:1]
    write_flat(tmp_path, "lamp3u", questions, outputs)
    with caplog.at_level("INFO", logger="lm_eval"):
        samples = evaluate({"data": str(tmp_path)}, tasks=TASKS[:1])["samples"]["lamp3u_rag_k3"]
    assert [len(s["doc"]["kept"]) for s in samples] == [0, 1, 3]
    assert samples[0]["doc"]["prompt"] == questions[0]["input"]
    assert samples[0]["doc"]["shortfall"] == "the profile holds 0 of 3"
    assert "2 profiles hold fewer than 3; 1 profile is empty" in caplog.text


@pytest.mark.parametrize(("known", "told"), [(1, "that one is"), (2, "these are")])
def test_a_split_with_some_golds_says_how_many_are_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, known: int, told: str
) -> None:
    folder = tmp_path / "mydata"
    write_example(folder)
    toml, file = folder / "corpus.toml", folder / "dev.jsonl"
    text = toml.read_text(encoding="utf-8")
    toml.write_text(text.replace('dev = "dev.jsonl"', 'test = "dev.jsonl"'), encoding="utf-8")
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()[:4]]
    for record in records[known:]:
        del record["answer"]
    file.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    results = evaluate({"data": str(folder), "split": "test"}, tasks=["own_rag_k1"])
    assert len(results["samples"]["own_rag_k1"]) == 4
    (line,) = [each.message for each in caplog.records if "right answer" in each.message]
    assert line.startswith("own_rag_k1: 4 prompts, ")
    assert (
        f"the right answer of {known} of the 4 questions is known, and only {told} scored against "
        f"it"
    ) in line


@pytest.mark.parametrize(
    ("metadata", "error", "message"),
    [
        ({"retriever": "bm52"}, RetrieverError, "unknown retriever 'bm52'"),
        ({"retreiver": "bm25"}, SettingsError, "unknown metadata key 'retreiver'"),
        ({"prompt": "lapm"}, SettingsError, "unknown prompt style 'lapm' .*Did you mean 'lamp'"),
        ({"data": "/no/such/folder"}, DataError, "no such folder"),
        ({"context_tokens": 300}, SettingsError, "needs the model's tokenizer"),
    ],
)
def test_bad_choices(
    small_data: Path, metadata: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate({"data": str(small_data), **metadata})


def own_task_file(folder: Path, dataset_kwargs: str) -> TaskManager:
    """A task file of the user's that builds on ours."""
    template = task_yamls() / "lamp3u" / "_lamp3u_yaml"
    (folder / "mine.yaml").write_text(
        f"include: {template}\ntask: mine\ndataset_kwargs: {dataset_kwargs}\n", encoding="utf-8"
    )
    return TaskManager(
        include_path=str(folder), include_defaults=False, metadata={"data": str(folder / "data")}
    )


def test_users_may_write_task_files_of_their_own(small_data: Path) -> None:
    manager = own_task_file(small_data.parent, "{task: lamp3u, k: 2}")
    task = manager.load(["mine"])["tasks"]["mine"]
    assert len(task.eval_docs[0]["kept"]) == 2


def test_a_task_file_with_a_k_that_is_none(small_data: Path) -> None:
    manager = own_task_file(small_data.parent, "{task: lamp3u, k: max16k}")
    with pytest.raises(SettingsError, match=r"k is 'max16k', expected a number .* max4k, max8k"):
        manager.load(["mine"])


@pytest.mark.parametrize("wrong", ["{k: 1}", "{task: lamp3u, k: 1, data: x}"])
def test_a_task_file_must_fix_task_and_k(small_data: Path, wrong: str) -> None:
    manager = own_task_file(small_data.parent, wrong)
    with pytest.raises(SettingsError, match="dataset_kwargs must hold 'task' and 'k'"):
        manager.load(["mine"])


# ---------------------------------------------------------------- with a tokenizer
def test_to_check_questions_leaves_nothing_behind(small_data: Path, tiny_model: Path) -> None:
    manager = TaskManager(
        include_path=str(task_yamls()),
        include_defaults=False,
        metadata=with_tokenizer(tiny_model, small_data),
    )
    task = manager.load(TASKS[:1])["tasks"][TASKS[0]]
    before = task.process_results(task.eval_docs[1], ["5"])
    task.check_questions(limit=None, samples=None)
    assert task.process_results(task.eval_docs[1], ["5"]) == before


def with_tokenizer(model: Path, data: Path, **choices: Any) -> dict[str, Any]:
    return {"data": str(data), "tokenizer": str(model), "max_length": 512, **choices}


def test_documents_are_fitted_and_counted(small_data: Path, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    wide = evaluate(with_tokenizer(tiny_model, small_data))["samples"]["lamp3u_rag_k3"]
    full = max(sample["doc"]["prompt_tokens"] for sample in wide)
    tight = evaluate(with_tokenizer(tiny_model, small_data, context_tokens=full + 16 - 5))
    for sample, before in zip(tight["samples"]["lamp3u_rag_k3"], wide, strict=True):
        doc = sample["doc"]
        tokens = len(tokenizer(sample["arguments"][0][0])["input_ids"])
        assert doc["prompt_tokens"] == tokens
        assert tokens + doc["answer_tokens"] <= doc["context_tokens"] == full + 11
        assert doc["kept"] + doc["dropped"] == before["doc"]["ranked"]
        assert bool(doc["dropped"]) == (before["doc"]["prompt_tokens"] > full - 5)
        if doc["dropped"]:
            assert "did not fit the token budget" in doc["shortfall"]
    assert any(sample["doc"]["dropped"] for sample in tight["samples"]["lamp3u_rag_k3"])


def test_runaway_rate_counts_answers_at_the_limit(small_data: Path, tiny_model: Path) -> None:
    metadata = with_tokenizer(tiny_model, small_data)
    results = evaluate(metadata)["results"]
    assert results["lamp3u_rag_k3"]["runaway_rate,none"] == 0.0
    results = evaluate(metadata, gen_kwargs={"max_gen_toks": 1})["results"]
    assert results["lamp3u_rag_k3"]["runaway_rate,none"] == 1.0


def test_a_system_instruction_is_counted(small_data: Path, tiny_model: Path) -> None:
    metadata = with_tokenizer(tiny_model, small_data)
    bare = evaluate(metadata)["samples"]["lamp3u_rag_k3"]
    results = evaluate(metadata, system_instruction="Answer with one digit.")
    for before, after in zip(bare, results["samples"]["lamp3u_rag_k3"], strict=True):
        assert after["doc"]["prompt_tokens"] > before["doc"]["prompt_tokens"]
        assert after["doc"]["prompt_hash"] == before["doc"]["prompt_hash"]


def test_an_impossible_budget_names_the_sample(small_data: Path, tiny_model: Path) -> None:
    with pytest.raises(BudgetError, match="lamp3u, sample 100: the question alone is"):
        evaluate(with_tokenizer(tiny_model, small_data, context_tokens=30))


def test_more_context_than_the_model_has(small_data: Path, tiny_model: Path) -> None:
    with pytest.raises(
        SettingsError, match="context_tokens is 9999, but the model's window is 512"
    ):
        evaluate(with_tokenizer(tiny_model, small_data, context_tokens=9999))


def test_ten_thousand_documents(tmp_path: Path, tiny_model: Path) -> None:
    questions, outputs = papers(1, profile=10_000)
    write_flat(tmp_path, "lamp5u", questions, outputs)
    samples = evaluate(with_tokenizer(tiny_model, tmp_path), tasks=["lamp5u_rag_k10"])["samples"]
    assert samples["lamp5u_rag_k10"][0]["doc"]["profile_size"] == 10_000
