"""The fingerprint: kept rankings are found again by it, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qrag_tasks import plugins
from qrag_tasks.retrieval.named import NamedRetriever
from qrag_tasks.retrieval.options import Option
from qrag_tasks.testing.check import CheckFailed, CheckSkipped, check
from qrag_tasks.testing.examples import EXAMPLES
from qrag_tasks.testing.subject import Subject


@check
def fingerprint_is_stable(subject: Subject) -> None:
    """The fingerprint is the same when built again, after ranking, and in another process.

    Otherwise no kept ranking is ever found again, and two runs of one retriever cannot be
    compared.
    """
    named = subject.named
    before = named.fingerprint.as_dict()
    subject.rank(EXAMPLES[:2])
    identity = dict(getattr(named.retriever, "identity", {}))
    if identity != before["identity"]:
        raise CheckFailed(f"after ranking, identity is {identity}, not {before['identity']}")
    again = subject.built_afresh().fingerprint.as_dict()
    if again != before:
        raise CheckFailed(f"built again, {_changes(before, again)}")
    there = subject.apart.process
    if not there.fingerprint:
        raise CheckSkipped("another process cannot build it: see another_process")
    # The digest of a package's code is not the retriever's doing, and changes when the code is
    # edited while the checks run.
    elsewhere = {**there.fingerprint, "source": before["source"]}
    if elsewhere != before:
        raise CheckFailed(f"in another process, {_changes(before, elsewhere)}")


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    return ", ".join(
        f"{key} is {after.get(key)}, not {value}"
        for key, value in before.items()
        if after.get(key) != value
    )


@check
def options_in_fingerprint(subject: Subject) -> None:
    """An option with another value is another retriever, and the spec says it all.

    Each option that is a number or true/false is changed, where the retriever takes another
    value; the canonical spec, given again, must mean the same.
    """
    named = subject.named
    again = plugins.build_retriever(named.spec)
    if again.fingerprint != named.fingerprint:
        raise CheckFailed(
            f"{subject.spec!r} is written {named.spec!r}, which means something else: "
            f"{_changes(named.fingerprint.as_dict(), again.fingerprint.as_dict())}"
        )
    changed = 0
    for option, value in named.fingerprint.options.items():
        other = _built_with_another(subject, option, value)
        if other is None:
            continue
        changed += 1
        if other.fingerprint.digest == named.fingerprint.digest:
            raise CheckFailed(f"{other.spec!r} has the same fingerprint as {named.spec!r}")
    if named.fingerprint.options and not changed:
        raise CheckSkipped("it takes no other value for any option that is a number or true/false")


def _built_with_another(subject: Subject, option: str, value: Option) -> NamedRetriever | None:
    """Return the retriever with one option changed; ``None`` where no value is taken."""
    options = subject.named.fingerprint.options
    given = {key: v for key, v in options.items() if v is not None and key != option}
    for other in _other_values(value):
        told = ",".join(f"{key}={_written(v)}" for key, v in {**given, option: other}.items())
        try:
            return subject.built_afresh(told)
        except Exception:  # noqa: S112
            # The value is refused, in whatever way the factory does that; the next one then.
            continue
    return None


def _other_values(value: Option) -> Iterator[Option]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1, value * 2, value // 2 or 1)
    elif isinstance(value, float):
        yield from (value + 0.25, value - 0.25, value * 2, value / 2, value + 1.0, value - 1.0)


def _written(value: Option) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
