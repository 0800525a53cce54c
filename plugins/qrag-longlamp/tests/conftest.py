from __future__ import annotations

import os
from pathlib import Path

# Read by huggingface_hub when it is imported, so set before anything else.
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads only wait for each other on models this small, the more so in several processes.
os.environ["OMP_NUM_THREADS"] = "1"

import pytest
from nltk_files import write_all


@pytest.fixture(scope="session", autouse=True)
def nltk_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with NLTK's data, made up, which is the only one that NLTK knows."""
    import nltk

    folder = tmp_path_factory.mktemp("nltk_data")
    write_all(folder)
    nltk.data.path[:] = [str(folder)]
    os.environ["NLTK_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def cache_of_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(cache_of_all: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this session alone; data are kept in it by their file."""
    monkeypatch.setenv("QRAG_CACHE", str(cache_of_all))
    monkeypatch.delenv("QRAG_DATA", raising=False)
    return cache_of_all
