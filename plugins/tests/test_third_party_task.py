"""A third party's task: CONTRIBUTING's "Add a task", its wheel, and that wheel broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from plugin_environments import Beside
from plugin_walks import Walk

WALK = Walk.of("Add a task")
BIRDS = "lm_eval --tasks birds_rag_all_k1 --model dummy"
LAMP = 'lm_eval --tasks lamp3u_rag_k0 --model dummy --limit 2 --metadata \'{"data": "mini"}\''
REGISTERS = "register(ROW.name, ROW)"


def test_the_wheel_is_used_by_lm_eval_from_any_folder(beside: Beside, tmp_path: Path) -> None:
    beside.install(WALK, tmp_path / "good")
    beside.run("python -m pip check", tmp_path)
    assert "birds_rag_k1" in beside.run(BIRDS, tmp_path).stdout
    said = beside.run("qrag plugins check birds", tmp_path).stdout
    assert re.search(r"birds: \d\d checks, 0 failed", said)
    assert "from qrag-birds 0.1.0" in beside.run("COLUMNS=200 qrag tasks", tmp_path).stdout


@pytest.mark.parametrize(
    ("replaced", "message", "harmless"),
    [
        # Whoever did not ask for birds is warned, and goes on.
        ((REGISTERS, "raise OSError('the nest is empty')"), "OSError: the nest is empty", True),
        ((REGISTERS, "register('owls', ROW)"), "what is registered as 'owls' calls itself", True),
        # Which of the two is meant, nobody can tell.
        (('name="birds"', 'name="lamp3u"'), "two plugins register the task 'lamp3u'", False),
    ],
)
def test_a_broken_wheel(
    replaced: tuple[str, str], message: str, harmless: bool, beside: Beside, tmp_path: Path
) -> None:
    beside.install(WALK, tmp_path / "broken", __init__=replaced)
    done = beside.run(LAMP, tmp_path, check=False)
    assert (done.returncode == 0) == harmless, done.stdout
    assert message in done.stdout
    done = beside.run(BIRDS, tmp_path, check=False)
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    listed = re.sub(r"\s+", " ", beside.run("qrag plugins", tmp_path, check=False).stdout)
    assert message[:40] in listed
    if not harmless:
        beside.run(f"QRAG_BLOCK_PLUGINS=qrag-birds {LAMP}", tmp_path)
