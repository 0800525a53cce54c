"""A retriever in a file: run without a package, and marked so."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from qrag_tasks.cli import main
from qrag_tasks.errors import PlanError, RetrieverError
from qrag_tasks.experiment.plan import read_plan
from qrag_tasks.plugins import build_retriever
from qrag_tasks.prompting.prompt_source import PromptSource
from qrag_tasks.prompting.settings import Settings
from qrag_tasks.retrieval.base import Document, Query
from qrag_tasks.tasks.base import Depth
from qrag_tasks.tasks.catalog import TASKS

CODE = """
from dataclasses import dataclass
from qrag_tasks import ScoringRetriever

@dataclass
class Longest(ScoringRetriever):
    minimum: int = 1

    def score(self, query):
        lengths = [len(document.text.split()) for document in query.documents]
        return [length if length >= self.minimum else 0 for length in lengths]
"""
QUERY = Query("q", "tea", (Document("a", "one"), Document("b", "one two"), Document("c", "1 2 3")))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.py"
    path.write_text(CODE, encoding="utf-8")
    return path


def test_a_class_in_a_file_ranks(mine: Path) -> None:
    retriever = build_retriever("./mine.py:Longest")
    assert retriever.rank([QUERY])[0].ids == ("c", "b", "a")
    assert build_retriever("./mine.py:Longest:minimum=1").spec == "./mine.py:Longest"
    assert build_retriever("./mine.py:Longest:minimum=3").spec == "./mine.py:Longest:minimum=3"
    assert build_retriever(f"{mine}:Longest").fingerprint == retriever.fingerprint


def test_another_content_is_another_retriever(mine: Path) -> None:
    first = build_retriever("./mine.py:Longest")
    mine.write_text(CODE.replace("length if", "-length if"), encoding="utf-8")
    second = build_retriever("./mine.py:Longest")
    assert second.fingerprint.digest != first.fingerprint.digest
    assert second.rank([QUERY])[0].ids == ("a", "b", "c")


def test_results_say_that_it_is_not_packaged(mine: Path) -> None:
    settings = Settings.from_metadata({"data": "mini", "retriever": "./mine.py:Longest"})
    source = PromptSource.of(TASKS["lamp3u"], Depth(1), settings)
    provenance = source.provenance()
    assert provenance.retriever == "./mine.py:Longest"
    assert str(provenance.retriever_from).startswith("mine.py (a file of sha256 ")
    assert str(provenance.retriever_from).endswith(", not packaged)")
    assert source.prompts([0], None, None)[0].kept


def test_it_ranks_with_workers_and_is_held_to_the_contract(mine: Path) -> None:
    arguments = ["rank", "lamp3u", "--data", "mini", "--retriever", "./mine.py:Longest"]
    done = CliRunner().invoke(main, [*arguments, "--workers", "2"])
    assert done.exit_code == 0, done.output
    assert "./mine.py:Longest: " in done.output
    expected = ["--expect-failure", "differs_by_query"]
    done = CliRunner().invoke(main, ["plugins", "check", "./mine.py:Longest", *expected])
    assert done.exit_code == 0, done.output


PLAN = """
name: mine
data: mini
models:
  - name: embedded
precisions: [bf16]
retrievers: ["{spec}"]
tasks: [lamp3u]
k: [1]
"""


def test_a_plan_takes_the_path_from_its_own_folder(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine.parent / "plan.yaml").write_text(PLAN.format(spec="./mine.py:Longest"), encoding="utf-8")
    monkeypatch.chdir("/")
    assert read_plan(mine.parent / "plan.yaml").retrievers == (f"{mine}:Longest",)
    (mine.parent / "plan.yaml").write_text(PLAN.format(spec="./mine.py:Shortest"), "utf-8")
    with pytest.raises(PlanError, match=r"plan\.yaml:7: retrievers\[0\]: .* no class 'Shortest'"):
        read_plan(mine.parent / "plan.yaml")


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ("./none.py:A", "", r"none\.py cannot be read: No such file"),
        ("./mine.py", CODE, r"'./mine\.py' is a file: which class\? ./mine\.py:Longest"),
        ("./mine.py:Longes", CODE, r"has no class 'Longes' .* Did you mean 'Longest'\?"),
        ("./mine.py:Longest", "1 +", r"mine\.py cannot be run: SyntaxError"),
        ("./mine.py:Longest", "import nowhere_at_all", r"cannot be run: ModuleNotFoundError"),
        ("./mine.py:Longest", "raise SystemExit(3)", "cannot be run: SystemExit: 3"),
        ("./mine.py:A", "A = 3", r"has no class 'A' \(with a method 'rank': none\)"),
        ("./mine.py:A", "class A: pass", "a A was built, which has no method 'rank'"),
        ("./mine.py:Longest:size=3", CODE, "has no option 'size'"),
    ],
)
def test_what_is_wrong_is_told(spec: str, code: str, message: str, mine: Path) -> None:
    mine.write_text(code, encoding="utf-8")
    with pytest.raises(RetrieverError, match=message):
        build_retriever(spec)
