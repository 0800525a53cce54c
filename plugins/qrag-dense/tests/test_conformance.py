"""The retrievers held to the contract, by the kit that qrag-tasks ships.

Each check starts with an empty embedding cache, so that what is compared was encoded twice.

Other processes that the kit asks are fresh interpreters for one retriever, and for the others
forked from one that has imported torch: what the plugin's import does is the same for all.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from qrag_tasks.testing import RetrieverConformance, processes
from queries import run_forked


@pytest.fixture(scope="class")
def forks() -> Iterator[None]:
    """The kit's processes find torch imported."""
    with pytest.MonkeyPatch.context() as patch:
        forking = SimpleNamespace(**{**vars(subprocess), "run": run_forked})
        patch.setattr(processes, "subprocess", forking)
        yield


class TestSentenceEncoder(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, minilm: Path) -> None:
        cls.spec = f"dense:model={minilm}"


class TestContriever(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, bert: Path, forks: None) -> None:
        cls.spec = f"contriever:model={bert}"


class TestDPR(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, dpr_question: Path, dpr_context: Path, forks: None) -> None:
        cls.spec = f"dpr:question_model={dpr_question},context_model={dpr_context}"
