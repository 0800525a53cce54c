"""Retrievers by name: options, plugins of third parties, broken plugins, broken rankings."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plugin_files import InstallPlugin, put_plugin

from qrag_tasks import installed, plugins
from qrag_tasks.arms.precisions import precision
from qrag_tasks.errors import PluginError, RetrieverError, SettingsError
from qrag_tasks.installed import Origin
from qrag_tasks.plugins import PROMPT_STYLES, RETRIEVERS, build_retriever
from qrag_tasks.registry import FORMATS
from qrag_tasks.retrieval.base import Document, Query, Ranking, Retriever, ScoringRetriever
from qrag_tasks.retrieval.named import NamedRetriever, described
from qrag_tasks.retrieval.options import read_options
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

QUERY = Query("7", "tea", (Document("a", "tea"), Document("b", "pot"), Document("c", "cup")))


def test_the_built_in_ones() -> None:
    names = [
        "bm25",
        "bm25-word",
        "bm25-char",
        "first",
        "recency",
        "random",
        "none",
        "oracle",
        "run",
    ]
    built_in = [
        name for name, p in RETRIEVERS.all().items() if p.origin.distribution == "qrag-tasks"
    ]
    assert built_in == names


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [
        ("bm25", "bm25"),
        (" bm25 ", "bm25"),
        ("bm25:", "bm25"),
        ("bm25:k1=0.9,b=0.4", "bm25:b=0.4,k1=0.9"),
        ("bm25:k1=1.5", "bm25"),
        ("bm25:k1=2", "bm25:k1=2.0"),
        ("bm25:b=0.4, k1=0.9", "bm25:b=0.4,k1=0.9"),
        ("random:seed=3", "random:seed=3"),
    ],
)
def test_specs(spec: str, canonical: str) -> None:
    built = build_retriever(spec)
    assert built.spec == canonical
    assert isinstance(built.retriever, Retriever)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "bm52",
            r"unknown retriever 'bm52' \(known: bm25, bm25-word, .*, run.*\). Did you mean 'bm25'",
        ),
        ("", r"unknown retriever ''"),
        ("bm25:k2=1", r"retriever 'bm25' has no option 'k2' \(known: k1, b, epsilon\)"),
        ("bm25:epsilom=1", r"Did you mean 'epsilon'"),
        ("first:seed=1", r"no option 'seed' \(known: none\)"),
        ("bm25:k1", r"'k1' is no option; write name:option=value"),
        ("bm25:k1=1,k1=2", r"the option 'k1' appears twice"),
        ("random:seed=1.5", r"refused: seed is '1.5', expected a whole number"),
        ("run", r"retriever 'run' needs the file: write run:FILE"),
        ("run:/no/such/file", r"run file /no/such/file: No such file"),
        ("bm25:b=7", r"refused: b is 7.0, expected 0 to 1"),
        ("bm25:k1=high", r"refused: k1 is 'high', expected a number"),
    ],
)
def test_bad_specs(spec: str, message: str) -> None:
    with pytest.raises(RetrieverError, match=message):
        build_retriever(spec)


ORIGIN = Origin("qrag-wrong", "0.3", "entry point wrong = qrag_wrong")


class Wrong:
    """A retriever that answers with whatever it was given."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def rank(self, queries: object, k: int | None = None) -> object:
        return self.answer


def named(retriever: object) -> NamedRetriever:
    return described("wrong", "wrong", ORIGIN, {}, retriever)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "returned 0 rankings for 1 queries"),
        (None, "rank returned nothing, expected a list of Ranking"),
        ([["a", "b"]], "returned a list, expected a Ranking"),
        ([Ranking(("a", "b"), (1.0,))], "2 ids but 1 scores"),
        ([Ranking(("a", "b"), None)], "must be tuples of texts and numbers"),  # type: ignore[arg-type]
        ([Ranking(("a",), ("high",))], "must be tuples of texts and numbers"),  # type: ignore[arg-type]
        ([Ranking((1, "b"), (2.0, 1.0))], "the id 1 is a int, expected a text"),  # type: ignore[arg-type]
        ([Ranking(("a", "b", "c"), (3.0, 2.0, 1.0))], "3 documents where 2 were asked for"),
        ([Ranking(("a", "a"), (2.0, 1.0))], "the document 'a' appears twice"),
        ([Ranking(("a", "z"), (2.0, 1.0))], "not in the profile: 'z'"),
        ([Ranking(("a", "b"), (1.0, 2.0))], "the scores rise at 'b', from 1.0 to 2.0"),
        ([Ranking(("a", "b"), (float("nan"), 2.0))], "the score of 'a' is nan: not finite"),
        ([Ranking(("a", "b"), (float("inf"), 2.0))], "not finite"),
    ],
)
def test_a_broken_ranking_names_plugin_and_sample(answer: object, message: str) -> None:
    with pytest.raises(RetrieverError) as caught:
        named(Wrong(answer)).rank([QUERY], 2)
    origin = r"'wrong' from qrag-wrong 0.3 (entry point wrong = qrag_wrong), sample '7': "
    assert origin in str(caught.value)
    assert message in str(caught.value)


def test_plain_values_are_made_of_what_counts_as_them() -> None:
    (ranking,) = named(Wrong([Ranking(["b", "a"], np.array([2, 1], dtype=np.float32))])).rank(  # type: ignore[arg-type]
        [QUERY]
    )
    assert ranking == Ranking(("b", "a"), (2.0, 1.0))
    assert type(ranking.scores[0]) is float


def test_a_list_sorted_in_place_confuses_no_queries() -> None:
    class Sorting(ScoringRetriever):
        def score(self, query: Query) -> list[float]:
            return [1.0] * len(query.documents)

        def rank(self, queries: Sequence[Query], k: int | None = None) -> list[Ranking]:
            assert isinstance(queries, tuple)
            return super().rank(queries, k)

    queries = [Query(i, "", (Document(f"d{i}", ""),)) for i in "321"]
    assert [r.ids for r in named(Sorting()).rank(queries)] == [("d3",), ("d2",), ("d1",)]


class Picky(ScoringRetriever):
    """It cannot bear one of the samples."""

    def score(self, query: Query) -> list[float]:
        if query.id == "13":
            raise ZeroDivisionError("thirteen")
        return [0.0] * len(query.documents)


def test_a_retriever_that_raises_names_the_sample_and_the_line() -> None:
    queries = [Query(i, "", QUERY.documents) for i in ("12", "13", "14")]
    with pytest.raises(RetrieverError, match=r"sample '13': ZeroDivisionError: thirteen") as caught:
        named(Picky()).rank(queries)
    assert "(in score, test_plugins.py line " in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_generator_is_a_way_to_return_rankings() -> None:
    class Lazy:
        def rank(self, queries: Sequence[Query], k: int | None = None) -> Iterator[Ranking]:
            for query in queries:
                if query.id == "13":
                    raise TypeError("thirteen")
                yield Ranking()

    assert named(Lazy()).rank([QUERY]) == [Ranking()]
    queries = [Query(i, "", ()) for i in ("12", "13")]
    with pytest.raises(RetrieverError, match=r"sample '13': TypeError: thirteen \(in rank"):
        named(Lazy()).rank(queries)


def test_scoring_one_query_is_enough() -> None:
    class Length(ScoringRetriever):
        def score(self, query: Query) -> list[int]:  # type: ignore[override]
            return [len(d.text) for d in query.documents]

    documents = tuple(Document(str(i), text) for i, text in enumerate(["a", "bb", "c", "dd"]))
    rankings = named(Length()).rank([Query("1", "", documents), Query("2", "", ())], 3)
    assert rankings == [Ranking(("1", "3", "0"), (2.0, 2.0, 1.0)), Ranking()]


def test_a_score_too_few_is_an_error() -> None:
    class Short(ScoringRetriever):
        def score(self, query: Query) -> list[float]:
            return [1.0]

    with pytest.raises(RetrieverError, match="1 scores for 3 documents"):
        named(Short()).rank([QUERY])


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"needs": ("data",)}, "needs is ('data',), expected a collection out of date, target"),
        ({"needs": "date"}, "needs is 'date'"),
        ({"identity": "v1"}, "identity is 'v1', expected a mapping of text to text"),
        ({"identity": {"revision": 1}}, "expected a mapping of text to text"),
        ({"rank": None}, "which has no method 'rank'"),
    ],
)
def test_what_a_retriever_says_of_itself_is_checked(
    attributes: dict[str, object], message: str
) -> None:
    wrong = type("Wrong", (Wrong,), attributes)
    with pytest.raises(RetrieverError) as caught:
        named(wrong([]))
    assert message in str(caught.value)


GOOD = """
from qrag_tasks import Ranking, hookimpl

class Last:
    def __init__(self, step=1):
        self.step = step
    def rank(self, queries, k=None):
        ids = [[d.id for d in reversed(q.documents)][:k] for q in queries]
        return [Ranking(tuple(i), tuple(-float(n) for n in range(len(i)))) for i in ids]

@hookimpl
def qrag_register_retrievers(register):
    register("last", Last)
"""


def test_a_plugin_of_a_third_party(install: InstallPlugin) -> None:
    install("qrag_last", GOOD)
    built = build_retriever("last:step=2")
    assert built.rank([QUERY], 2)[0].ids == ("c", "b")
    assert str(built.fingerprint.origin) == "qrag_last 0.3"
    assert built.fingerprint.origin.entry_point == "entry point qrag_last = qrag_last"
    (plugin,) = (p for p in plugins.plugins() if p.name == "qrag_last")
    assert plugin.hooks == ("qrag_register_retrievers",)
    with pytest.raises(RetrieverError, match=r"known: bm25, .*; plugins: last from qrag_last 0.3"):
        build_retriever("lost")


BROKEN = [
    ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    ("import sys; sys.exit('no licence')", "SystemExit: no licence"),
    (GOOD.replace("_retrievers(register)", "_retrievers(registry)"), "PluginValidationError"),
    (GOOD.replace("qrag_register_retrievers", "qrag_register_retriever"), "unknown hook"),
    (GOOD.replace("@hookimpl", ""), "'qrag_register_retrievers' is not marked as a hook"),
    (GOOD.partition("@hookimpl")[0], "it implements no hook: is @hookimpl missing?"),
    (GOOD.replace('register("last", Last)', "raise RuntimeError('boom')"), "RuntimeError: boom"),
    (GOOD.replace('"last"', '"My Last"'), "the name 'My Last'"),
    (GOOD.replace('"last", Last', '"last", 5'), "'last' cannot be called: 5"),
    (GOOD + '    register("last", Last)', "the name 'last' is registered twice"),
]
FACTS = r"'qrag_broken' \(entry point qrag_broken = qrag_broken\) from qrag_broken 0.3: .*"


@pytest.mark.parametrize(("code", "cause"), BROKEN, ids=[cause for _, cause in BROKEN])
def test_a_broken_plugin_is_left_out_with_a_warning(
    install: InstallPlugin, code: str, cause: str
) -> None:
    install("qrag_broken", code)
    with pytest.warns(RuntimeWarning, match=FACTS + re.escape(cause)) as warned:
        assert build_retriever("bm25").spec == "bm25"
        assert build_retriever("first").spec == "first"
    assert len(warned) == 1
    # Asked for, it is an error with the same facts.
    with pytest.raises(RetrieverError, match=f"unknown retriever 'last'(.|\n)*{FACTS}"):
        build_retriever("last")


def test_strict_plugins_make_it_an_error(
    install: InstallPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("qrag_broken", BROKEN[0][0])
    monkeypatch.setenv("QRAG_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=FACTS + "no_such_module_anywhere"):
        build_retriever("bm25")


@pytest.mark.parametrize("blocked", ["qrag_broken", "other, Qrag-Broken"])
def test_a_blocked_plugin_is_not_loaded(
    install: InstallPlugin, monkeypatch: pytest.MonkeyPatch, blocked: str
) -> None:
    install("qrag_broken", "raise RuntimeError('imported')")
    monkeypatch.setenv("QRAG_BLOCK_PLUGINS", blocked)
    assert build_retriever("bm25").spec == "bm25"
    with pytest.raises(RetrieverError, match=r"qrag_broken 0.3: blocked by QRAG_BLOCK_PLUGINS"):
        build_retriever("last")


def test_a_factory_that_fails_is_told_with_its_origin(install: InstallPlugin) -> None:
    install("qrag_late", GOOD.replace("self.step = step", "import no_such_module_anywhere"))
    assert "last" in RETRIEVERS.all()
    with pytest.raises(
        RetrieverError,
        match=r"'last' from qrag_late 0.3 \(entry point .*cannot be built: ModuleNotFoundError",
    ):
        build_retriever("last")


def test_an_option_that_no_fingerprint_can_hold(install: InstallPlugin) -> None:
    install("qrag_odd", GOOD.replace("step=1", "step=object"))
    with pytest.raises(RetrieverError, match="default of the option 'step' is a type, expected"):
        build_retriever("last")


def test_one_name_twice_is_an_error_that_names_both(
    install: InstallPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("qrag_rival", GOOD.replace('"last"', '"bm25"'))
    with pytest.raises(
        PluginError,
        match=r"two plugins register the retriever 'bm25': 'bm25' from qrag-tasks .* 'qrag_rival' "
        r".*qrag_rival 0.3. Uninstall one",
    ):
        build_retriever("first")
    monkeypatch.setenv("QRAG_BLOCK_PLUGINS", "qrag_rival")
    plugins.forget()
    assert build_retriever("bm25").fingerprint.origin.distribution == "qrag-tasks"


def test_a_folder_that_is_on_the_path_twice(
    install: InstallPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("qrag_last", GOOD)
    monkeypatch.setattr("sys.path", [str(tmp_path / "site"), *sys.path])
    plugins.forget()
    assert build_retriever("last").spec == "last"
    assert len([p for p in plugins.plugins() if p.name == "qrag_last"]) == 1


STYLE = """
from qrag_tasks import hookimpl

def shout(task, question, items):
    return question.upper()

@hookimpl
def qrag_register_prompt_styles(register):
    register("shout", shout)
"""


def test_a_prompt_style_of_a_third_party(install: InstallPlugin) -> None:
    install("qrag_shout", STYLE)
    style = PROMPT_STYLES.get("shout")
    assert style.value(LAMP_TASKS["lamp3u"], "quiet", []) == "QUIET"
    assert str(style.origin) == "qrag_shout 0.3"
    with pytest.raises(SettingsError, match=r"unknown prompt style 'shuot' .*Did you mean 'shout'"):
        PROMPT_STYLES.get("shuot")
    assert PROMPT_STYLES.get("lamp").origin.distribution == "qrag-tasks"


FORMAT = """
from qrag_tasks import hookimpl
from qrag_tasks.arms.formats.base import Format
from qrag_tasks.arms.formats.facts import Precision

class Ternary(Format):
    name = "ternary"
    precisions = (Precision("int2-ternary", 2, "ternary", "-1, 0 and 1", aliases=("int2",)),)

    def claims(self, config):
        return config.get("quant_method") == "ternary"

    def stored_layers(self, module, parts):
        return ()

    def layer_facts(self, module):
        return None

    def layer_bytes(self, row, outputs, inputs):
        return outputs * inputs // 4

@hookimpl
def qrag_register_formats(register):
    register("ternary", Ternary())
"""


def test_a_format_of_a_third_party(install: InstallPlugin) -> None:
    install("qrag_ternary", FORMAT)
    assert precision("int2-ternary").summary == "-1, 0 and 1"
    assert str(FORMATS.get("ternary").origin) == "qrag_ternary 0.3"
    known = r"known: fp32, .*, int4-awq, .*; plugins: int2-ternary from qrag_ternary 0.3\)"
    with pytest.raises(SettingsError, match=rf"{known}. For 2 bits take .* or int2-ternary, made"):
        precision("int2")


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("Ternary())", "Ternary)", "is a class: register an object, Ternary()"),
        ('"ternary", T', '"other", T', "registered as 'other' calls itself 'ternary'"),
        ('2, "ternary"', '2, "tertiary"', "has precisions of another method: int2-ternary"),
        ('"int2",)),)', '"int2",)),) * 2', "has two precisions of the same bits and quant_type"),
        ("def layer_facts", "def layer_fact", "abstract method"),
    ],
)
def test_a_format_that_cannot_be_one(
    install: InstallPlugin, old: str, new: str, cause: str
) -> None:
    install("qrag_ternary", FORMAT.replace(old, new))
    with pytest.warns(RuntimeWarning, match=re.escape(cause)):
        assert precision("bf16").bits == 16
    with pytest.raises(SettingsError, match=f"unknown precision(.|\n)*{re.escape(cause)}"):
        precision("int2-ternary")


def test_one_precision_of_two_formats_is_an_error(install: InstallPlugin) -> None:
    install("qrag_ternary", FORMAT.replace("int2-ternary", "int8"))
    with pytest.raises(PluginError, match=r"two plugins register the precision 'int8': 'bitsand"):
        precision("bf16")


def test_fingerprints_tell_apart_what_ranks_differently() -> None:
    same = [build_retriever(spec).fingerprint for spec in ("bm25", "bm25:k1=1.5", "bm25:b=0.75")]
    assert len({fingerprint.digest for fingerprint in same}) == 1
    other = [build_retriever(spec).fingerprint for spec in ("bm25", "bm25:k1=1.6", "bm25-word")]
    assert len({fingerprint.digest for fingerprint in other}) == 3
    assert same[0].options == {"k1": 1.5, "b": 0.75, "epsilon": 0.25}


@pytest.mark.parametrize(
    ("factory", "given", "read"),
    [
        (lambda model: None, "model=7", {"model": 7}),
        (lambda model="": None, "model=7", {"model": "7"}),
        (lambda size=1.0: None, "size=7", {"size": 7.0}),
        (lambda deep=False: None, "deep=TRUE", {"deep": True}),
        (lambda *, size=None: None, "size=0.5", {"size": 0.5}),
        (lambda *, size=None: None, "", {"size": None}),
    ],
)
def test_values_are_read_as_the_parameter_says(
    factory: Callable[..., object], given: str, read: dict[str, object]
) -> None:
    assert read_options("x", given, factory) == read
    assert [type(v) for v in read_options("x", given, factory).values()] == [
        type(v) for v in read.values()
    ]


def test_annotations_say_what_a_value_is() -> None:
    def factory(model: str, size: int | None = None, deep: bool = False) -> None: ...

    assert read_options("x", "model=1,size=2,deep=true", factory) == {
        "model": "1",
        "size": 2,
        "deep": True,
    }

    def whole(size: float = 1) -> None: ...

    assert type(read_options("x", "", whole)["size"]) is float
    with pytest.raises(RetrieverError, match="'x' needs the option 'model': write x:model=VALUE"):
        read_options("x", "size=2", factory)
    with pytest.raises(RetrieverError, match="deep is 'yes', expected true or false"):
        read_options("x", "model=m,deep=yes", factory)


NOT_LOADABLE = [
    ("METADATA", None, "its METADATA in .* is missing or has no name"),
    ("METADATA", "Metadata-Version: 2.1\nVersion: 0.3\n", "missing or has no name"),
    ("METADATA", "Metadata-Version: 2.1\nName: qrag_hurt\n", "missing or has no version"),
    ("entry_points.txt", "[qrag]\nqrag_hurt\n", "its entry_points.txt is malformed"),
    ("entry_points.txt", "[qrag]\nqrag_hurt = 17:?\n", "'17:\\?' does not name a module"),
    ("direct_url.json", "{not json", "its direct_url.json in .* cannot be read"),
    ("direct_url.json", "[]", "its direct_url.json in .* cannot be read"),
    (
        "../qrag_hurt-0.2.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: qrag_hurt\nVersion: 0.2\n",
        "holds the METADATA of qrag_hurt 0.2 and 0.3",
    ),
]


@pytest.mark.parametrize(("file", "text", "cause"), NOT_LOADABLE)
def test_a_damaged_installation_is_left_out_and_can_be_blocked(
    install: InstallPlugin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    file: str,
    text: str | None,
    cause: str,
) -> None:
    install("qrag_hurt", GOOD)
    path = tmp_path / "site" / "qrag_hurt-0.3.dist-info" / file
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text, encoding="utf-8")
    plugins.forget()
    with pytest.warns(RuntimeWarning, match=f"'qrag_hurt' .*{cause}"):
        assert build_retriever("bm25").spec == "bm25"
    with pytest.raises(RetrieverError, match=f"unknown retriever 'last'(.|\n)*{cause}"):
        build_retriever("last")
    monkeypatch.setenv("QRAG_BLOCK_PLUGINS", "qrag-hurt")
    plugins.forget()
    (found,) = [p for p in plugins.plugins() if p.name == "qrag_hurt"]
    assert found.state == "blocked"
    assert build_retriever("bm25").spec == "bm25"


def test_a_damaged_package_of_somebody_else_is_none_of_our_business(
    install: InstallPlugin, tmp_path: Path
) -> None:
    install("qrag_last", GOOD)
    other = tmp_path / "site" / "other-1.dist-info"
    other.mkdir()
    (other / "entry_points.txt").write_bytes(b"\xff\xfe[console_scripts]\n")
    plugins.forget()
    assert build_retriever("last").spec == "last"
    assert all(p.state == "ok" for p in plugins.plugins())


def test_of_two_folders_the_first_on_the_path_counts(
    install: InstallPlugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("qrag_last", GOOD)
    behind = tmp_path / "behind"
    behind.mkdir()
    put_plugin(behind, "qrag_last", "raise RuntimeError('imported')")
    monkeypatch.setattr("sys.path", [*sys.path, str(behind)])
    plugins.forget()
    assert [p.state for p in plugins.plugins() if p.name == "qrag_last"] == ["ok"]


def test_the_metadata_of_other_projects_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are hundreds of them, and every command would wait for it."""
    read = []
    name_and_version = installed._name_and_version

    def noted(distribution: Any) -> tuple[str, str]:
        read.append(distribution.read_text("entry_points.txt") or "")
        return name_and_version(distribution)

    monkeypatch.setattr(installed, "_name_and_version", noted)
    list(installed.announced())
    assert all("[qrag]" in text for text in read)
