"""What the tests of downloading share: the files on the server, and one download."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lamp_files import reviews

from qrag_tasks.cli import main
from qrag_tasks.errors import QragError
from qrag_tasks.tasks.lamp.download import Download, Outcome, Patience

NAME = "LaMP_3/dev/dev_questions.json"
PATH = f"/{NAME}"
GOLDS_PATH = "/LaMP_3/dev/dev_outputs.json"


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


QUESTIONS, GOLDS = map(encoded, reviews(60, profile=60))
# As long, but not the same.
CHANGED = QUESTIONS.replace(b"Kettle", b"Teapot")
HTML = b"<!DOCTYPE html><html><body>Page not found</body></html>"
CUT = 150_000
HASTY = Patience(
    tries=4, first_wait=0.01, longest_wait=3.0, jitter=0.0, connecting=5.0, silence=10.0
)
IMPATIENT = dataclasses.replace(HASTY, silence=0.25)


def get(root: Path, holds: str = "questions", **options: Any) -> Outcome:
    """Download one file of LaMP-3."""
    wanted = Download(["lamp3u"], into=str(root), **{"patience": HASTY, **options})
    (file,) = (file for file in wanted.files if file.holds == holds)
    return wanted.get(file)


def refused(root: Path, holds: str = "questions", **options: Any) -> str:
    with pytest.raises(QragError) as caught:
        get(root, holds, **options)
    return str(caught.value)


def files(root: Path) -> set[str]:
    paths = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in paths if not name.startswith(".locks/")}


def recorded(root: Path) -> dict[str, Any]:
    body = json.loads((root / "qrag-manifest.json").read_text(encoding="utf-8"))
    assert body["format"] == 1
    return dict(body["files"])


def begun(asked: str | None) -> int:
    """Return the first byte that a Range header asks for, if it is the rest of what was sent."""
    first = int(str(asked).removeprefix("bytes=").removesuffix("-"))
    # Whole blocks for certain; what came of the next one, only with some versions of urllib3.
    assert first in (65_536, 100_000, 131_072, CUT, 196_608, 200_000, len(QUESTIONS))
    return first


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["download", *map(str, arguments)])
