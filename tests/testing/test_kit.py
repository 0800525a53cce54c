"""The kit as plugin authors use it: under pytest, and from Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qrag_tasks.errors import RetrieverError, SettingsError
from qrag_tasks.retrieval.base import Ranking
from qrag_tasks.testing import CHECKS, KIT_VERSION, Outcome, RetrieverConformance, run_checks
from qrag_tasks.testing.comparison import same
from qrag_tasks.testing.examples import every_query

pytest_plugins = ["pytester"]


def test_checks_have_unique_names_and_say_what_they_do() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert re.fullmatch(r"[a-z][a-z_]*", check.name)
        assert check.summary.endswith("."), check.name
        test = getattr(RetrieverConformance, f"test_{check.name}")
        assert (test.__name__, test.__doc__) == (f"test_{check.name}", check.summary)
    assert re.fullmatch(r"\d+\.\d+", KIT_VERSION)


def test_query_ids_are_unique() -> None:
    ids = [query.id for query in every_query()]
    assert len(set(ids)) == len(ids)


def test_importing_it_imports_neither_pytest_nor_anything_costly() -> None:
    code = (
        "import sys; import qrag_tasks.testing; "
        "print(sorted({'pytest', 'torch', 'lm_eval', 'datasets'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_outcomes_without_pytest() -> None:
    reasons = {"differs_by_query": "the order is the data's", "k_zero": "it never is asked"}
    outcomes: dict[str, Outcome] = {o.check.name: o for o in run_checks("first", reasons)}
    assert list(outcomes) == [check.name for check in CHECKS]
    assert all(outcome.seconds >= 0 for outcome in outcomes.values())
    expected = outcomes.pop("differs_by_query")
    assert expected.state == "expected"
    assert expected.message.startswith("the order is the data's (3 different queries")
    stale = outcomes.pop("k_zero")
    assert stale.state == "failed"
    assert "it passes: remove it from expected_failures" in stale.message
    skipped = outcomes.pop("other_scripts")
    assert skipped.state == "skipped"
    assert "see differs_by_query" in skipped.message
    assert {(o.state, o.message) for o in outcomes.values()} == {("passed", "")}


def test_wrong_requests_are_refused_at_once() -> None:
    with pytest.raises(RetrieverError, match="unknown retriever 'bm52'"):
        run_checks("bm52")
    with pytest.raises(SettingsError, match=r"unknown check 'k_zer' \(known: empty_batch, .*k_zer"):
        run_checks("bm25", {"k_zer": "typing"})
    with pytest.raises(SettingsError, match="'k_zero' has no reason"):
        run_checks("bm25", {"k_zero": " "})


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (Ranking(("a", "b", "c"), (2.0, 1.0, 1.0)), True),
        (Ranking(("a", "b", "c"), (2.0001, 1.0, 0.99999)), True),
        (Ranking(("a", "c", "b"), (2.0, 1.00001, 1.0)), True),
        (Ranking(("a", "c", "b"), (2.0, 1.0, 1.0)), False),  # equal in both, so not by rounding
        (Ranking(("b", "a", "c"), (2.0, 1.0, 1.0)), False),
        (Ranking(("a", "b", "c"), (2.0, 1.0, 0.999)), False),
        (Ranking(("a", "b", "d"), (2.0, 1.0, 1.0)), False),
        (Ranking(("a", "b"), (2.0, 1.0)), False),
    ],
)
def test_what_counts_as_the_same_ranking(other: Ranking, alike: bool) -> None:
    ranking = Ranking(("a", "b", "c"), (2.0, 1.0, 1.0))
    assert same(ranking, other) is alike
    assert same(ranking, other, exact=True) is (ranking == other)


IMPORT = "from qrag_tasks.testing import RetrieverConformance\n"


def run_pytest(pytester: pytest.Pytester, code: str, *arguments: str) -> pytest.RunResult:
    """Run pytest on ``code`` in a process of its own, as a plugin author does."""
    pytester.makepyfile(IMPORT + code)
    return pytester.runpytest_subprocess("-v", "-rx", "-p", "no:cacheprovider", *arguments)


def test_expected_failures_under_pytest(pytester: pytest.Pytester) -> None:
    result = run_pytest(
        pytester,
        """
class TestFirst(RetrieverConformance):
    spec = "first"
    expected_failures = {"differs_by_query": "by design", "k_zero": "once upon a time"}
""",
    )
    result.assert_outcomes(passed=len(CHECKS) - 3, xfailed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*::TestFirst::test_empty_batch PASSED*",
            "k_zero: expected to fail (once upon a time), but it passes: remove it from *",
            "XFAIL *::test_differs_by_query - *by design (3 different queries got the same order*",
        ]
    )


def test_failures_under_pytest(
    broken_plugin: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(broken_plugin), prepend=os.pathsep)
    result = run_pytest(
        pytester,
        """
class TestAnotherTopK(RetrieverConformance):
    spec = "another-top-k"

class TestNeedsTexts(RetrieverConformance):
    spec = "needs-texts"
""",
        *("-k", "top_k_is_prefix or empty_documents"),
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            "top_k_is_prefix: query 'repeated-1': k=1 is not the first 1 of k=None: *",
            # The retriever's own code is shown, where it raised.
            "*return len(asked & words) / len(words)*",
            "*empty_documents: retriever 'needs-texts' from qrag_broken 0.3 *ZeroDivisionError*",
        ]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'spec = "bm25"\n    expected_failures = {"no_netwrok": "it downloads"}',
            "*unknown check 'no_netwrok' (known: empty_batch, *). Did you mean 'no_network'?*",
        ),
        (
            'spec = "bm25"\n    expected_failures = {"no_network": ""}',
            "*'no_network' has no reason*",
        ),
        ("pass", "*TestIt.spec is not set: which retriever?*"),
        ('spec = "bm52"', "*unknown retriever 'bm52'*"),
    ],
)
def test_mistakes_in_the_class(pytester: pytest.Pytester, body: str, message: str) -> None:
    pytester.makepyfile(f"{IMPORT}class TestIt(RetrieverConformance):\n    {body}\n")
    result = pytester.runpytest_inprocess("-k", "k_zero", "-p", "no:cacheprovider")
    assert result.ret != 0
    result.stdout.fnmatch_lines([message])
