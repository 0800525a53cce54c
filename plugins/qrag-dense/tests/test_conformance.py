"""The retrievers held to the contract, by the kit that qrag-tasks ships.

Each check starts with an empty embedding cache, so that what is compared was encoded twice.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from qrag_tasks.testing import RetrieverConformance


class TestSentenceEncoder(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, minilm: Path) -> None:
        cls.spec = f"dense:model={minilm}"


class TestContriever(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, bert: Path) -> None:
        cls.spec = f"contriever:model={bert}"


class TestDPR(RetrieverConformance):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def model(cls, dpr_question: Path, dpr_context: Path) -> None:
        cls.spec = f"dpr:question_model={dpr_question},context_model={dpr_context}"
