"""A third party's task: CONTRIBUTING's "Add a task", its wheel, and that wheel broken."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

BIRDS = "lm_eval --tasks birds_rag_all_k1 --model dummy"
LAMP = 'lm_eval --tasks lamp3u_rag_k0 --model dummy --limit 2 --metadata \'{"data": "mini"}\''
REGISTERS = "register(ROW.name, ROW)"


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """The files of the walk: path -> content."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = text.partition("## Add a task\n")[2].partition("\n## ")[0]
    path = r"`((?:qrag_birds|tests)/\w+\.(?:py|jsonl)|pyproject\.toml)`"
    blocks = re.findall(r"(.*?)^```(\w+)\n(.*?)^```", walk, re.MULTILINE | re.DOTALL)
    return {
        re.findall(path, before)[0]: code for before, language, code in blocks if language != "bash"
    }


def install(clean: Run, folder: Path, files: dict[str, str], **replaced: str) -> None:
    """Build the wheel, with some of its code replaced, and install it."""
    for name, content in files.items():
        text = content
        if name == "qrag_birds/__init__.py":
            for old, new in replaced.items():
                text = text.replace({"registers": REGISTERS, "name": 'name="birds"'}[old], new)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    clean(f"python -m pip wheel --quiet --no-deps --wheel-dir '{folder}/dist' '{folder}'", folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    clean(f"python -m pip install --quiet --no-deps --force-reinstall '{wheel}'", folder)


def test_the_wheel_is_used_by_lm_eval_from_any_folder(
    clean: Run, files: dict[str, str], tmp_path: Path
) -> None:
    install(clean, tmp_path / "good", files)
    clean("python -m pip check", tmp_path)
    assert "birds_rag_k1" in clean(BIRDS, tmp_path).stdout
    assert re.search(
        r"birds: \d\d checks, 0 failed", clean("qrag plugins check birds", tmp_path).stdout
    )
    assert "from qrag-birds 0.1.0" in clean("COLUMNS=200 qrag tasks", tmp_path).stdout


@pytest.mark.parametrize(
    ("replaced", "message", "harmless"),
    [
        # Whoever did not ask for birds is warned, and goes on.
        ({"registers": "raise OSError('the nest is empty')"}, "OSError: the nest is empty", True),
        ({"registers": "register('owls', ROW)"}, "what is registered as 'owls' calls itself", True),
        # Which of the two is meant, nobody can tell.
        ({"name": 'name="lamp3u"'}, "two plugins register the task 'lamp3u'", False),
    ],
)
def test_a_broken_wheel(
    replaced: dict[str, str],
    message: str,
    harmless: bool,
    clean: Run,
    files: dict[str, str],
    tmp_path: Path,
) -> None:
    install(clean, tmp_path / "broken", files, **replaced)
    done = clean(LAMP, tmp_path, check=False)
    assert (done.returncode == 0) == harmless, done.stdout
    assert message in done.stdout
    done = clean(BIRDS, tmp_path, check=False)
    assert done.returncode != 0
    assert message in done.stdout
    assert message[:40] in re.sub(r"\s+", " ", clean("qrag plugins", tmp_path, check=False).stdout)
    clean(f"QRAG_BLOCK_PLUGINS=qrag-birds {LAMP}", tmp_path)
