"""Which model is meant, what it is identified by, and the errors on the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from qrag_tasks.errors import RetrieverError
from qrag_tasks.plugins import build_retriever
from queries import python, query
from tiny_models import save_bert

from qrag_dense.retrievers import DPR, Contriever, Dense

ASKED = [query("tea", ["coffee", "cat"])]


def test_a_folder_is_identified_by_its_files(bert: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bert, tmp_path / "copy")
    identity = Contriever(model=str(bert)).identity
    assert Contriever(model=str(copy)).identity == identity
    (copy / "README.md").write_text("words", encoding="utf-8")
    assert Contriever(model=str(copy)).identity == identity
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "a": 1}), encoding="utf-8")
    assert Contriever(model=str(copy)).identity != identity


def test_other_weights_of_the_same_size_are_another_model(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model", seed=1)
    old = Contriever(model=str(folder))
    identity, before = old.identity, old.rank(ASKED)
    weights = folder / "model.safetensors"
    os.utime(weights, (1e9, 1e9))
    save_bert(folder, seed=2)
    os.utime(weights, (1e9, 1e9))
    new = Contriever(model=str(folder))
    assert new.identity != identity
    assert new.rank(ASKED) != before


def test_weights_that_change_before_they_are_loaded_are_refused(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model", seed=1)
    retriever = Contriever(model=str(folder))
    assert retriever.identity
    save_bert(folder, seed=2)
    with pytest.raises(RetrieverError, match="changed after this retriever was built"):
        retriever.rank(ASKED)


def test_the_identity_is_the_same_in_every_process(bert: Path) -> None:
    code = (
        "import sys\n"
        "from qrag_dense.retrievers import Contriever\n"
        "print(dict(Contriever(model=sys.argv[1]).identity))"
    )
    here = dict(Contriever(model=str(bert)).identity)
    assert python(code, str(bert)).stdout.strip() == str(here)
    assert python(code, str(bert), QRAG_CACHE="/dev/null/none").stdout.strip() == str(here)


def test_the_digests_of_settled_files_are_remembered(tmp_path: Path, cache: Path) -> None:
    folder = save_bert(tmp_path / "model")
    identity = Contriever(model=str(folder)).identity
    (memory,) = cache.glob("embeddings/digests/*.json")
    assert json.loads(memory.read_text(encoding="utf-8")) == {}  # written a moment ago
    memory.write_text("{damaged", encoding="utf-8")
    assert Contriever(model=str(folder)).identity == identity


def test_dpr_is_identified_by_the_encoders_it_uses(dpr_question: Path, dpr_context: Path) -> None:
    two = DPR(question_model=str(dpr_question), context_model=str(dpr_context)).identity
    one = DPR(question_encoder_for_documents=True, question_model=str(dpr_question)).identity
    assert two["question_model"] == one["question_model"] == one["context_model"]
    assert two["context_model"] != one["context_model"]


def test_a_hub_model_comes_from_the_local_cache(hub_cache: Path, bert: Path) -> None:
    (snapshot,) = (hub_cache / "models--facebook--contriever" / "snapshots").iterdir()
    named = build_retriever("contriever")
    assert named.fingerprint.identity == {
        "model": "facebook/contriever",
        "revision": snapshot.name,
    }
    rankings = named.rank(ASKED)
    assert rankings == Contriever(model=str(bert)).rank(ASKED)
    assert Contriever(revision="main").identity == named.fingerprint.identity
    # What was ranked needs no weights any more.
    (snapshot / "model.safetensors").unlink()
    assert Contriever().rank(ASKED) == rankings
    with pytest.raises(RetrieverError, match="facebook/contriever"):
        Contriever().rank([query("a new text", ["tea"])])


def test_a_hub_model_that_is_here_in_part_is_not_taken_for_a_plain_one(
    hub_cache: Path, bert: Path
) -> None:
    # Another program fetched weights and tokenizer; whether the model has modules is not known.
    with pytest.raises(RetrieverError, match=r"config_sentence_transformers\.json is not known"):
        Dense(model="facebook/contriever").rank(ASKED)
    # This is how huggingface_hub remembers what a model has not.
    model = hub_cache / "models--facebook--contriever"
    (snapshot,) = (model / "snapshots").iterdir()
    lacking = model / ".no_exist" / snapshot.name
    lacking.mkdir(parents=True)
    for name in ("modules.json", "config_sentence_transformers.json"):
        (lacking / name).touch()
    rankings = Dense(model="facebook/contriever").rank(ASKED)
    assert rankings == Dense(model=str(bert)).rank(ASKED)


def test_weights_in_a_pickle(tmp_path: Path, bert: Path) -> None:
    # As Contriever and DPR have them on the hub.
    from transformers import BertModel

    folder = shutil.copytree(bert, tmp_path / "model")
    torch.save(BertModel.from_pretrained(bert).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert Contriever(model=str(folder)).rank(ASKED) == Contriever(model=str(bert)).rank(ASKED)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("contriever", "hf download facebook/contriever`"),
        ("contriever:msmarco=true", "hf download facebook/contriever-msmarco`"),
        ("contriever:revision=v1", "hf download facebook/contriever --revision v1`"),
        ("dpr", "hf download facebook/dpr-question_encoder-single-nq-base`"),
        ("dense:model=all-mpnet-base-v2", "hf download sentence-transformers/all-mpnet-base-v2`"),
    ],
)
def test_a_model_that_is_not_here_says_how_to_get_it(hub_cache: Path, spec: str, told: str) -> None:
    shutil.rmtree(hub_cache / "models--facebook--contriever")
    with pytest.raises(RetrieverError, match="neither a folder, nor in the local") as caught:
        build_retriever(spec)
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "~/nowhere", "a/b/c", "my model"])
def test_a_folder_that_is_not_there(name: str) -> None:
    with pytest.raises(RetrieverError, match="there is no such folder"):
        build_retriever(f"dense:model={name}")


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(RetrieverError, match=r"neither config\.json nor modules\.json"):
        build_retriever(f"contriever:model={tmp_path}")


def test_a_folder_has_no_revision(bert: Path) -> None:
    with pytest.raises(RetrieverError, match="folders have no revision"):
        build_retriever(f"contriever:model={bert},revision=main")


def test_missing_weights(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(RetrieverError, match="holds no weights"):
        Contriever(model=str(folder)).rank(ASKED)


def test_damaged_weights(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(RetrieverError, match="cannot be loaded"):
        Contriever(model=str(folder)).rank(ASKED)


def test_a_missing_pooler_is_only_missed_where_it_is_used(tmp_path: Path) -> None:
    from transformers import BertModel

    folder = save_bert(tmp_path / "model")
    BertModel.from_pretrained(folder, add_pooling_layer=False).save_pretrained(folder)
    assert Dense(model=str(folder), pooling="mean").rank(ASKED)[0].ids
    with pytest.raises(RetrieverError, match=r"missing or of another shape, such as pooler\."):
        Dense(model=str(folder), pooling="pooler").rank(ASKED)


def test_the_wrong_kind_of_dpr_encoder(dpr_question: Path, bert: Path) -> None:
    swapped = DPR(question_model=str(dpr_question), context_model=str(dpr_question))
    with pytest.raises(RetrieverError, match="is no DPRContextEncoder with all its weights"):
        swapped.rank(ASKED)
    plain = DPR(question_encoder_for_documents=True, question_model=str(bert))
    with pytest.raises(RetrieverError, match="is no DPRQuestionEncoder with all its weights"):
        plain.rank(ASKED)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("pooling=meen", "pooling is 'meen', expected one of auto, mean, cls, pooler. Did you"),
        ("similarity=l2", "similarity is 'l2', expected one of auto, dot, cosine"),
        ("device=gpu", "device is 'gpu', expected auto, cpu, cuda or cuda:NUMBER"),
        ("dtype=int8", "dtype is 'int8', expected one of auto, float32, float16, bfloat16"),
        ("max_tokens=-1", "max_tokens is -1"),
        ("batch_tokens=0", "batch_tokens is 0, expected at least 1"),
    ],
)
def test_refused_options(bert: Path, options: str, told: str) -> None:
    with pytest.raises(RetrieverError) as caught:
        build_retriever(f"dense:model={bert},{options}")
    assert told in str(caught.value)


def test_msmarco_and_model_exclude_each_other(bert: Path) -> None:
    with pytest.raises(RetrieverError, match="give one of them"):
        build_retriever(f"contriever:msmarco=true,model={bert}")


def test_a_device_that_is_not_there(bert: Path) -> None:
    number = torch.cuda.device_count()
    with pytest.raises(RetrieverError, match=f"device is 'cuda:{number}', but torch .* sees"):
        Dense(model=str(bert), device=f"cuda:{number}").rank(ASKED)


def test_a_similarity_that_is_not_offered(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    config = {"similarity_fn_name": "euclidean"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(RetrieverError, match="write similarity=dot or similarity=cosine"):
        Dense(model=str(folder)).rank(ASKED)
    assert Dense(model=str(folder), similarity="dot").rank(ASKED)


def test_vectors_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path, cache: Path) -> None:
    from transformers import BertModel

    folder = save_bert(tmp_path / "model")
    model = BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(RetrieverError, match="not finite"):
        Contriever(model=str(folder)).rank(ASKED)
    assert not list(cache.glob("embeddings/*.sqlite"))
