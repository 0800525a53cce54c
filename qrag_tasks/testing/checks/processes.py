"""The retriever in other processes: the same rankings, no costly imports, no network."""

from __future__ import annotations

from qrag_tasks.testing.check import CheckFailed, CheckSkipped, check
from qrag_tasks.testing.comparison import expect_same
from qrag_tasks.testing.examples import EXAMPLES
from qrag_tasks.testing.processes import Ranked, imports_of
from qrag_tasks.testing.subject import Subject


@check
def another_process(subject: Subject) -> None:
    """Another process ranks the same: what is computed today is reused tomorrow."""
    _expect_same_as(subject, subject.apart.process, "here, then in another process")


@check
def another_hash_seed(subject: Subject) -> None:
    """With another ``PYTHONHASHSEED`` it ranks the same: nothing hangs on the order of a set."""
    if subject.offline.process.error and subject.offline.connections:
        raise CheckSkipped("the process that has another seed has no network: see no_network")
    _expect_same_as(subject, subject.offline.process, "here, then with another hash seed")


@check
def spawned_worker(subject: Subject) -> None:
    """A daemonic worker that multiprocessing spawned builds it by its spec, and ranks the same."""
    apart = subject.apart
    if apart.worker is None:
        raise CheckSkipped("the process that spawns the worker failed: see another_process")
    _expect_same_as(subject, apart.worker, "here, then in a spawned worker")


@check
def cheap_import(subject: Subject) -> None:
    """That the plugin is installed imports no torch, no JVM, no pandas: every command pays for it.

    Import these where the retriever is built or, better, at the first ``rank``.
    """
    findings = subject.offline
    if costly := imports_of(subject.named.fingerprint.origin, findings):
        raise CheckFailed(f"listing the plugins imports {', '.join(costly)}")
    if findings.process.error and not findings.process.fingerprint and not findings.connections:
        raise CheckSkipped(f"another process cannot tell: {findings.process.error}")


@check
def no_network(subject: Subject) -> None:
    """In a process without network it ranks, and tries to reach nobody: runs happen offline.

    Seen is what Python's own sockets do, not what a JVM or another process does.
    """
    findings = subject.offline
    if findings.connections:
        attempts = "; ".join(findings.connections[:3])
        raise CheckFailed(f"it tried to {attempts}")
    if findings.process.error:
        raise CheckFailed(findings.process.error)


def _expect_same_as(subject: Subject, there: Ranked, when: str) -> None:
    if there.error:
        raise CheckFailed(there.error)
    elsewhere = [there.rankings[query.id] for query in EXAMPLES]
    expect_same(EXAMPLES, subject.ranked, elsewhere, when)
