"""Each check catches what it is there for, and says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qrag_tasks.testing import CHECKS, run_check, run_checks
from qrag_tasks.testing.examples import EXAMPLES
from qrag_tasks.testing.processes import Request, examine, import_path

BROKEN = [
    ("needs-queries", "empty_batch", "IndexError: list index out of range"),
    ("tuples", "returns_rankings", "query 'review-1' got a list, expected a Ranking"),
    ("not-a-number", "returns_rankings", "the score of '.' is nan: not finite"),
    ("whole-number-ids", "returns_rankings", "ids holds ., a int, expected a text"),
    ("rising", "scores_ordered", "the score rises from .* at place"),
    ("strips-ids", "ids_kept", "the document 'a b' appears twice"),
    ("one-too-many", "k_zero", "got 1 documents where 0 were asked for"),
    ("only-matches", "k_documents", "k=1: query 'paper-3' got 0 of its 6 documents, expected 1"),
    ("needs-k-documents", "k_beyond_profile", "IndexError: k is too large"),
    ("another-top-k", "top_k_is_prefix", "'repeated-1': k=1 is not the first 1 of k=None: at pl"),
    ("ties-by-id", "stable_ties", "stand in the order of the data, .* in the reverse"),
    ("set-order", "another_hash_seed", "here, then with another hash seed: of equal score"),
    ("drops-duplicates", "duplicate_texts", "of 3 documents with one text only 1 came back: cup"),
    ("needs-documents", "empty_profile", "sample 'no-profile': ValueError: max"),
    ("needs-two-documents", "one_document", "StatisticsError"),
    ("ignores-the-query", "differs_by_query", "3 different queries got the same order"),
    ("ascii-silently", "other_scripts", "is what is not ASCII dropped?"),
    ("ascii-only", "unicode", "UnicodeEncodeError: 'ascii' codec"),
    ("formats", "chat_markers", r"sample 'markers-\d': (KeyError|ValueError|IndexError)"),
    ("needs-a-query", "empty_query", "sample 'empty-query-1': ValueError: min"),
    ("needs-texts", "empty_documents", "ZeroDivisionError"),
    ("short-queries", "long_query", "longer than 512 tokens"),
    ("short-documents", "long_document", "longer than 512 tokens"),
    ("small-profiles", "large_profile", "more than 1000 clauses"),
    ("global-random", "repeatable", "query 'review-1': asked for twice: at place"),
    ("scaled-in-the-batch", "batch_equals_single", "alone, then in a batch: the score of"),
    ("swaps-queries", "order_of_queries", "in a batch, then in its reverse: at place"),
    ("remembers-document-ids", "users_kept_apart", "another ranking where other users came"),
    ("remembers-query-texts", "users_kept_apart", "sample 'paper-3'|'paper-3': another ranking"),
    ("remembers-query-ids", "query_ids_reused", "'review-1': alone, then after a query of that"),
    ("sorts-the-batch", "inputs_not_mutated", "the list of queries was changed"),
    ("changes-queries", "inputs_not_mutated", "query 'paper-1' was changed"),
    ("needs-a-list", "inputs_not_mutated", "TypeError: can only concatenate tuple"),
    ("keeps-queries", "nothing_kept", "the Query 'review-1' is kept"),
    ("does-not-pickle", "pickles", "(Can't|cannot) (get|pickle) "),
    ("identity-of-the-object", "fingerprint_is_stable", "built again, identity is .*, not "),
    ("identity-of-the-process", "fingerprint_is_stable", "in another process, identity is "),
    ("identity-known-later", "fingerprint_is_stable", "after ranking, identity is .*2bd46a2"),
    ("option-that-is-no-number", "options_in_fingerprint", "has the same fingerprint as"),
    ("of-this-process", "another_process", "here, then in another process"),
    ("dies-elsewhere", "another_process", "ended with 3 and no answer; it printed: no kernel"),
    ("hash-order", "another_hash_seed", "here, then with another hash seed: at place"),
    ("starts-a-process", "spawned_worker", "daemonic processes are not allowed to have child"),
    ("opens-a-socket", "no_network", r"tried to connect to 127.0.0.1:9 \(in score, qrag_broken"),
    ("looks-up-a-host", "no_network", r"tried to look up 'localhost' \(in score, qrag_broken.py"),
]


@pytest.mark.usefixtures("broken_plugin")
@pytest.mark.parametrize(("spec", "check", "message"), BROKEN)
def test_the_check_fails_and_says_why(spec: str, check: str, message: str) -> None:
    outcome = run_check(check, spec)
    assert outcome.state == "failed", outcome.message
    assert re.search(message, outcome.message), outcome.message


def test_each_check_is_seen_to_fail() -> None:
    caught = {check for _, check, _ in BROKEN} | {"cheap_import"}
    assert caught == {check.name for check in CHECKS}


@pytest.mark.usefixtures("broken_plugin")
def test_another_process_that_hangs_is_ended() -> None:
    request = Request("hangs-elsewhere", EXAMPLES[:1], import_path(), worker=True, patience=3.0)
    assert examine(request).process.error == "the process did not end within 3 s"


@pytest.mark.usefixtures("broken_plugin")
def test_what_they_are_made_of_is_sound() -> None:
    outcomes = list(run_checks("overlap:power=0.5"))
    assert [outcome for outcome in outcomes if outcome.state != "passed"] == []


def test_costly_imports_are_laid_to_the_plugin_that_does_them(heavy_plugin: Path) -> None:
    outcome = run_check("cheap_import", "heavy")
    assert outcome.state == "failed"
    assert outcome.message == (
        "listing the plugins imports torch (in <module>, qrag_heavy.py line 2)"
    )
    assert run_check("cheap_import", "bm25").state == "passed"
