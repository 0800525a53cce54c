"""What a retriever is given of samples: their questions and documents, and what else it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qrag_tasks.errors import RetrieverError
from qrag_tasks.retrieval.base import Document, Query
from qrag_tasks.retrieval.named import NamedRetriever
from qrag_tasks.tasks.base import Item, Sample, Task


def make_query(task: Task, sample: Sample, retriever: NamedRetriever) -> Query:
    """Return what the retriever is given of a sample: the fields it needs, and no others.

    :raises RetrieverError: when the data lack a field that it needs.
    """
    (query,) = make_queries(task, [sample], retriever)
    return query


def make_queries(task: Task, samples: Iterable[Sample], retriever: NamedRetriever) -> list[Query]:
    """Return what the retriever is given of samples, each as :func:`make_query` does.

    Samples with one profile, the same tuple, get queries with one tuple of documents.
    """
    queries = []
    profile: Sequence[Item] | None = None
    documents: tuple[Document, ...] = ()
    for sample in samples:
        if sample.profile is not profile:
            profile, documents = sample.profile, _documents(task, sample, retriever)
        queries.append(_query(task, sample, documents, retriever))
    return queries


def _query(
    task: Task, sample: Sample, documents: tuple[Document, ...], retriever: NamedRetriever
) -> Query:
    needs = retriever.needs
    if "gold" in needs and sample.target is None:
        raise RetrieverError(
            f"retriever {retriever.spec!r} ranks by the right answer, and that of {task.name}, "
            f"sample {sample.id!r}, is not published"
        )
    gold = sample.target if "gold" in needs else None
    return Query(sample.id, task.query(sample.input), documents, gold)


def _documents(task: Task, sample: Sample, retriever: NamedRetriever) -> tuple[Document, ...]:
    needs = retriever.needs
    if not needs:
        return tuple(Document(i["id"], task.indexed_text(i)) for i in sample.profile)
    target = task.item_target if "target" in needs else None
    if "target" in needs and target is None:
        raise RetrieverError(
            f"retriever {retriever.spec!r} needs each document's own answer, and the profile "
            f"items of {task.name} have none"
        )
    if "date" in needs:
        for item in sample.profile:
            if "date" not in item:
                raise RetrieverError(
                    f"retriever {retriever.spec!r} needs dates: {task.name}, sample "
                    f"{sample.id!r}, profile item {item['id']!r} has no date. LaMP's "
                    f"time-based splits have them, its user-based splits do not; own data name "
                    f"them in documents.date."
                )
    return tuple(
        Document(
            item["id"],
            task.indexed_text(item),
            date=item["date"] if "date" in needs else None,
            target=None if target is None else item[target],
        )
        for item in sample.profile
    )
