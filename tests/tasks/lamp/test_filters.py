"""What ``filter=yazan2024`` leaves out: by hand, and against a plain reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamp_files import PAPER_INPUT, REVIEW_INPUT

from qrag_tasks.tasks.base import Item
from qrag_tasks.tasks.lamp.data import DataSet, Sample
from qrag_tasks.tasks.lamp.filters import yazan2024_filter
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

NONE = "No abstract available"


def words(count: int) -> str:
    return " ".join(["w"] * count)


def reviews_of(queries: Sequence[int], profiles: Sequence[Sequence[int]]) -> DataSet:
    """A data set of reviews with so many words."""
    samples = tuple(
        Sample(
            id=f"q{n}",
            input=f"{REVIEW_INPUT} {words(query)}",
            profile=tuple(
                {"id": f"{n}.{i}", "text": words(length), "score": "4"}
                for i, length in enumerate(profile)
            ),
            target="4",
            user=f"u{n}",
        )
        for n, (query, profile) in enumerate(zip(queries, profiles, strict=True))
    )
    return data_set("lamp3u", samples)


def data_set(name: str, samples: tuple[Sample, ...]) -> DataSet:
    ids = tuple(sample.id for sample in samples)
    return DataSet(LAMP_TASKS[name], Path("q"), Path("o"), samples, ids, "f" * 64, ("a note",))


def test_by_hand() -> None:
    # 0.995 of the way from the first to the last of 201 lengths 0 to 200 is 199: 200 goes. Of the
    # items of the 200 left, 0 to 199 words, it is 198.005: 199 goes, and 1,000 with its question.
    data = reviews_of(range(201), [[n] for n in range(200)] + [[1000]])
    kept = yazan2024_filter(data)
    assert kept.ids == tuple(f"q{n}" for n in range(200)) == tuple(s.id for s in kept.samples)
    assert [len(sample.profile) for sample in kept.samples] == [1] * 199 + [0]
    *before, told = kept.notes
    assert before == ["a note"]
    for fact in ("1 of 201 questions", "199 words", "1 of 200 profile items", "198.005 words"):
        assert fact in told


def test_words_end_at_single_spaces() -> None:
    # Nine items of one word, and one of 40 as the paper counts: the quantile lies between them.
    long = {"white space": "w\n" * 40, "in a row": f"w{' ' * 39}", "in twos": "w  " * 20}
    kept = {}
    for name, text in long.items():
        texts = [*["w"] * 9, text]
        profile = tuple({"id": str(i), "text": t, "score": "4"} for i, t in enumerate(texts))
        data = data_set("lamp3u", (Sample("1", f"{REVIEW_INPUT}q", profile, "4"),))
        kept[name] = len(yazan2024_filter(data).samples[0].profile)
    assert kept == {"white space": 10, "in a row": 9, "in twos": 9}


def test_a_profile_counts_once_for_every_question() -> None:
    # One item of 9 words among 100. Alone it is longer than the quantile, 5.04 words. Of the 900
    # items of nine questions of that user it is one of the nine longest, and the quantile is 9.
    profile = tuple({"id": str(i), "text": words(9 if i == 0 else 1)} for i in range(100))
    samples = tuple(Sample(str(n), f"{REVIEW_INPUT}q", profile, "4") for n in range(9))
    for asked, left in ((1, 99), (9, 100)):
        kept = yazan2024_filter(data_set("lamp3u", samples[:asked]))
        assert [len(sample.profile) for sample in kept.samples] == [left] * asked


def test_items_that_say_that_there_is_no_abstract_go() -> None:
    profile: tuple[Item, ...] = (
        {"id": "1", "title": "A", "abstract": "Owls hoot."},
        {"id": "2", "title": "B", "abstract": f"{NONE}."},
        {"id": "3", "title": f"{NONE}: a history", "abstract": "Larks sing."},
        {"id": "4", "title": "C", "abstract": "no abstract available"},
    )
    data = data_set("lamp5u", (Sample("1", f"{PAPER_INPUT}x", profile, "T"),))
    (sample,) = yazan2024_filter(data).samples
    assert [item["id"] for item in sample.profile] == ["1", "4"]


def test_the_fingerprint_is_another_and_depends_on_the_data() -> None:
    data = reviews_of([1, 2], [[1], []])
    other = replace(data, fingerprint="e" * 64)
    fingerprints = {
        d.fingerprint for d in (data, other, yazan2024_filter(data), yazan2024_filter(other))
    }
    assert len(fingerprints) == 4
    assert yazan2024_filter(data).fingerprint == yazan2024_filter(data).fingerprint


lengths = st.integers(0, 30)
profiles = st.lists(st.lists(lengths, max_size=8), min_size=1, max_size=60)


@given(profiles, st.data())
def test_any_data_against_a_plain_reference(profiles: list[list[int]], data: st.DataObject) -> None:
    queries = data.draw(st.lists(lengths, min_size=len(profiles), max_size=len(profiles)))
    whole = reviews_of(queries, profiles)
    kept = yazan2024_filter(whole)

    # An empty text is one word, as `split(" ")` has it.
    words_of = [max(1, query) for query in queries]
    left = [n for n, query in enumerate(words_of) if query <= np.quantile(words_of, 0.995)]
    items = [max(1, length) for n in left for length in profiles[n]]
    longest = np.quantile(items, 0.995) if items else 0
    wanted = [
        replace(
            whole.samples[n],
            profile=tuple(
                item for item in whole.samples[n].profile if len(item["text"].split(" ")) <= longest
            ),
        )
        for n in left
    ]
    assert list(kept.samples) == wanted
    assert kept.ids == tuple(sample.id for sample in wanted)
    assert len(kept.samples) == len(wanted) > 0
    # As a sequence: from the end, slices, slices of slices.
    assert kept.samples[-1] == wanted[-1]
    start, stop = data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9))
    assert list(kept.samples[start:stop]) == wanted[start:stop]
    assert list(kept.samples[start:][::-2]) == wanted[start:][::-2]
    with pytest.raises(IndexError):
        kept.samples[len(wanted)]
    # What was read stays as it was.
    assert list(whole.samples) == list(reviews_of(queries, profiles).samples)
