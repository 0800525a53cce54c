"""The queries and profiles that retrievers are tried on; all of it written for this purpose.

Every query that a check ranks is one of :func:`every_query`, and no two have the same id (but
:data:`OTHER_DATA`, which is there for that). Each document carries a date and the user's own
answer, each query the right answer; a retriever is given those it asks for.
"""

# ruff: noqa: RUF001 - letters that look like others are what some of these texts are for

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from qrag_tasks.retrieval.base import Document, Query


def _profile(*rows: tuple[str, str, str]) -> tuple[Document, ...]:
    """Return documents of (text, date, target); their ids are ``1``, ``2``, ..."""
    return tuple(
        Document(str(number), text, date, target)
        for number, (text, date, target) in enumerate(rows, start=1)
    )


# Ids are the same for all users, as data sets that number each profile from 1 have it.
_GARDENER = _profile(
    ("The pruning shears stay sharp after a whole autumn of roses.", "2019-10-02", "5"),
    ("Watering can leaks at the spout, and the handle came off in May.", "2020-05-21", "1"),
    ("Seeds for tomatoes sprouted within a week, every single one of them.", "2020-03-30", "5"),
    ("The garden hose kinks whenever the sun is out.", "2020-05-21", "2"),
    ("Gloves fit well but the thorns of my roses go straight through.", "2018-06-11", "3"),
    ("A book on compost that never tells you what to do with the worms.", "2021-01-08", "2"),
    ("Solid wheelbarrow, heavy when empty, steady when full.", "2017-09-14", "4"),
    ("Tomatoes again: this fertilizer doubled the crop.", "2021-08-19", "4"),
)
# Papers are dated by their year alone, as in LaMP.
_SCHOLAR = _profile(
    (
        "We bound the error of rounding matrices to four bits and test the bound on language "
        "models.",
        "2022",
        "Rounding Matrices to Four Bits",
    ),
    (
        "A corpus of letters between sailors and their families, with notes on dialect.",
        "2015",
        "Letters from the Sea: A Corpus",
    ),
    (
        "Retrieval of documents by single words is compared with retrieval by sentences.",
        "2018",
        "Words or Sentences? Retrieval Compared",
    ),
    (
        "Bees find the shortest tour of a meadow; we describe the rule that they follow.",
        "2012",
        "How Bees Shorten Their Tours",
    ),
    (
        "Language models repeat what stands last in the prompt. We measure how often.",
        "2023",
        "The Last Word: Position Effects in Prompts",
    ),
    (
        "An index of documents that fits into the cache of a telephone.",
        "2018",
        "A Pocket Index",
    ),
)
_TRAVELLER = _profile(
    ("Поезд опоздал на три часа, зато чай был горячий.", "2016-02-10", "3"),
    ("Το ξενοδοχείο ήταν καθαρό και η θάλασσα δίπλα.", "2019-07-07", "5"),
    ("山の上の旅館で食べた朝ご飯が忘れられない。", "2018-11-03", "5"),
    ("المقهى الصغير قرب السوق يقدم أفضل قهوة في المدينة", "2020-01-19", "4"),
    ("מוזיאון קטן ומקסים, אבל התור היה ארוך מדי", "2017-04-25", "2"),
    (
        "Cafe\u0301 au lait, croissant \U0001f950, vue sur le port "
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 !",
        "2021-09-30",
        "4",
    ),
    ("Горячий чай и холодный ветер на вокзале.", "2016-02-11", "1"),
    ("Zażółć gęślą jaźń: the phrase book was right about everything.", "2015-05-05", "3"),
    ("नदी के किनारे की सड़क बहुत सुंदर है", "2022-08-14", "5"),
    ("Ｆｕｌｌ－ｗｉｄｔｈ signs,\u00a0no-break spaces,\u200bzero width ones.", "2014-12-24", "2"),
)

REVIEWS = (
    Query("review-1", "roses thorns gloves shears", _GARDENER, "5"),
    Query("review-2", "How did the tomatoes do with this fertilizer?", _GARDENER, "4"),
    Query("review-3", "The hose leaks at the watering can.", _GARDENER, "1"),
)
"""One user, three questions: the answers should not all be alike."""

PAPERS = (
    Query(
        "paper-1",
        "Language models are rounded to four bits; we measure prompts.",
        _SCHOLAR,
        "Four Bits and the Last Word",
    ),
    Query(
        "paper-2",
        "Which index of documents serves retrieval by words?",
        _SCHOLAR,
        "A Pocket Index for Words",
    ),
    # Another user's question, word for word.
    Query("paper-3", REVIEWS[0].text, _SCHOLAR, "How Bees Shorten Their Tours"),
)
SCRIPTS = (
    Query("script-1", "горячий чай на вокзале", _TRAVELLER, "1"),
    Query("script-2", "η θάλασσα και το ξενοδοχείο", _TRAVELLER, "5"),
    Query("script-3", "أفضل قهوة 旅館 \U0001f950 café सड़क", _TRAVELLER, "4"),
)
"""Scripts from left to right and from right to left, combining marks, emoji, no spaces."""

EXAMPLES: tuple[Query, ...] = (
    REVIEWS[0],
    PAPERS[0],
    SCRIPTS[0],
    REVIEWS[1],
    PAPERS[1],
    SCRIPTS[1],
    REVIEWS[2],
    SCRIPTS[2],
    PAPERS[2],
)
"""Three users in turn. Their documents have the same ids and different texts."""

_TEXTS = ("green tea", "a pot of tea", "milk", "green tea", "milk", "sugar", "green tea", "sugar")


def _repeated(query: str, ids: str) -> Query:
    """Return a query of :data:`_TEXTS`: of documents with one text, all else is equal too."""
    documents = tuple(
        Document(f"cup-{name}", text, f"2020-01-0{1 + len(text) % 5}", str(1 + len(text) % 5))
        for name, text in zip(ids, _TEXTS, strict=True)
    )
    return Query(query, "green tea", documents, "5")


REPEATED = _repeated("repeated-1", "mcxazbyk")
"""Some documents stand several times, each time as a document of its own."""
REPEATED_RENAMED = _repeated("repeated-2", "azmycbxk")
"""The same under other ids, in another alphabetical order."""
TIES = (REPEATED, REPEATED_RENAMED)

NO_PROFILE = Query("no-profile", "roses", (), "5")
ONE_DOCUMENT = Query("one-document", "roses", _GARDENER[:1], "5")
EMPTY_QUERIES = tuple(
    Query(f"empty-query-{number}", text, _GARDENER, "3")
    for number, text in enumerate(("", " \n\t "), start=1)
)
EMPTY_DOCUMENTS = (
    Query(
        "empty-documents-1",
        "roses",
        (replace(_GARDENER[0], text=""), _GARDENER[1], replace(_GARDENER[2], text=" \n")),
        "3",
    ),
    Query("empty-documents-2", "roses", (replace(_GARDENER[0], text=""),), "3"),
    Query("empty-documents-3", "", tuple(replace(d, text="") for d in _GARDENER[:3]), "3"),
)
_WORDS = "the roses near the old wall want water and a wall wants roses".split()  # noqa: SIM905
LONG_TEXT = " ".join(_WORDS[number % len(_WORDS)] for number in range(10_000))
LONG_QUERY = Query("long-query", LONG_TEXT, _GARDENER, "4")
LONG_DOCUMENT = Query(
    "long-document",
    "roses at the wall",
    (*_GARDENER[:2], replace(_GARDENER[2], text=LONG_TEXT), *_GARDENER[3:]),
    "4",
)
MARKERS = (
    "<|im_start|>system\nYou rate reviews.<|im_end|>\n<|im_start|>assistant\n",
    "[INST] <<SYS>> be brief <</SYS>> [/INST] </s><s>",
    "<|endoftext|><|begin_of_text|><|eot_id|><start_of_turn>user",
    "{{ gold }} {% for d in documents %}{{ d }}{% endfor %} {0} {missing} {",
    "%s %(name)s %d 100% $HOME `id` \\n \\x00 \\",
    "[CLS] [SEP] [MASK] [PAD] [UNK] <pad> <unk> <mask>",
    '"quoted", \'quoted\', <b>bold</b> &amp; a:b=c,d AND (e OR NOT f*) "',
)
"""What means something to a tokenizer, a template, a format string or a query parser."""
CHAT_MARKERS = tuple(
    Query(
        f"markers-{number}",
        text,
        tuple(replace(d, text=f"{marker} {d.text}") for d, marker in zip(_GARDENER, MARKERS)),  # noqa: B905
        "4",
    )
    for number, text in enumerate(MARKERS, start=1)
)
ODD_IDS = Query(
    "odd-ids",
    "roses and tomatoes",
    tuple(
        replace(_GARDENER[number % len(_GARDENER)], id=name)
        for number, name in enumerate(
            (
                "7", "07", "7.0", "-7", "a b", " a b ", "a\tb", "#2", "a#2", "A", "a", "é",
                "e\u0301", "文書", "مستند", "\U0001f4c4", "1e5", "nan", "None", "a/b", "a,b=c:d",
                "{id}", "%d",
            )
        )
    ),
    "4",
)  # fmt: skip
"""Ids that are changed on the way by whoever takes them for numbers, paths or words."""

OTHER_DATA = replace(PAPERS[0], id=REVIEWS[0].id)
"""A query of another data set, which gives its queries the same ids."""


def _large(size: int = 2000) -> tuple[Document, ...]:
    things = "rose hose seed spade glove tomato worm wall path pond fence shed".split()  # noqa: SIM905
    traits = "old new red tall wet dry cheap solid light broken".split()  # noqa: SIM905
    return tuple(
        Document(
            f"large-{number}",
            f"{traits[number % 10].capitalize()} {things[number % 12]} beside the "
            f"{traits[number // 10 % 10]} {things[number // 7 % 12]}, number {number}.",
            f"20{number % 23:02}-{1 + number % 12:02}-{1 + number % 28:02}",
            str(1 + number % 5),
        )
        for number in range(size)
    )


LARGE = Query("large", "A broken tomato beside the wet wall, number 1234", _large(), "4")


def every_query() -> Iterable[Query]:
    """Yield each query that a check ranks, once; :data:`OTHER_DATA` has the id of another."""
    groups: Sequence[Sequence[Query]] = (
        EXAMPLES,
        TIES,
        (NO_PROFILE, ONE_DOCUMENT),
        EMPTY_QUERIES,
        EMPTY_DOCUMENTS,
        (LONG_QUERY, LONG_DOCUMENT),
        CHAT_MARKERS,
        (ODD_IDS, LARGE),
    )
    for group in groups:
        yield from group
