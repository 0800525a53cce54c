"""CONTRIBUTING's "Add an engine", as printed: a new engine, and no file of ours is touched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plugin_walks import Walk, warm_shell_in
from warm_python import WarmPython

pytest.importorskip("torch", reason="the hf extra is not installed")


def test_the_commands_as_printed(tmp_path: Path, warm_python: WarmPython) -> None:
    walk = Walk.of("Add an engine")
    walk.install(tmp_path)
    tests, plugins, evaluated = map(warm_shell_in(tmp_path, warm_python, tmp_path), walk.commands)
    assert re.search(r"\d+ passed", tests)
    assert "failed" not in tests
    # Those of distributions, which this engine does not tell.
    assert re.findall(r"(\d+) skipped", tests) == ["3"]
    assert re.search(r"plain +qrag-plain +0\.1\.0 +engine +plain +ok", plugins)
    assert "|lamp3u_rag_k1|" in evaluated
    assert "prefill" in evaluated
