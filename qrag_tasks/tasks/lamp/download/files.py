"""Which files there are to download, from where and into which folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from qrag_tasks.errors import SettingsError, did_you_mean
from qrag_tasks.locations import mini_root
from qrag_tasks.tasks.base import Task
from qrag_tasks.tasks.lamp.data import LAMP_URL, data_root
from qrag_tasks.tasks.lamp.layout import files_of
from qrag_tasks.tasks.lamp.table import LAMP_TASKS

ALL = "all"


@dataclass(frozen=True)
class LampFile:
    """One file of LaMP.

    :ivar holds: ``questions`` or ``outputs``.
    """

    task: Task
    split: str
    holds: str

    @property
    def name(self) -> str:
        """Its path below a data root, and below LaMP's URL."""
        return f"{files_of(self.task).path}/{self.split}/{self.split}_{self.holds}.json"


def lamp_files(names: Sequence[str], split: str = "dev") -> list[LampFile]:
    """Return the files of the tasks called ``names``; ``all`` means every public one.

    :raises SettingsError: when there is no such task, or its files are not public.
    """
    chosen: dict[str, Task] = {}
    for name in names:
        if name == ALL:
            chosen |= {task.name: task for task in LAMP_TASKS.values() if task.source.public}
            continue
        if name not in LAMP_TASKS:
            raise SettingsError(
                f"unknown LaMP task {name!r} (known: {', '.join(LAMP_TASKS)}; all)."
                + did_you_mean(name, [*LAMP_TASKS, ALL])
            )
        if not LAMP_TASKS[name].source.public:
            raise SettingsError(
                f"{name} is not public: the e-mails of LaMP-6 are those of the LDC's Avocado "
                f"corpus (LDC2015T03), and LaMP gives their ids only. With the corpus at hand, "
                f"LaMP's own script data/avocado/create_avocado_dataset.py makes the files."
            )
        chosen[name] = LAMP_TASKS[name]
    # LaMP keeps the outputs of the test split to itself.
    held = ("questions",) if split == "test" else ("questions", "outputs")
    return [LampFile(task, split, holds) for task in chosen.values() for holds in held]


def writable_root(into: str | None) -> Path:
    """Return the folder to download into; ``None`` means the default data root.

    :raises SettingsError: when it is that of the embedded sample.
    """
    root = data_root(into)
    if root == mini_root():
        raise SettingsError(
            f"{'--into' if into else 'QRAG_DATA'} names `mini`, the embedded sample: nothing can "
            f"be downloaded into it. Name a folder by --into FOLDER."
        )
    return root


def base_url() -> str:
    """Return the address that a file's name is put behind: ``$QRAG_LAMP_URL``, else LaMP's own.

    :raises SettingsError: when it is no address of a folder on a web server.
    """
    base = os.environ.get("QRAG_LAMP_URL") or LAMP_URL
    try:
        parts = urlsplit(base)
    except ValueError:
        parts = urlsplit("")
    if parts.username is not None:
        raise SettingsError(
            "QRAG_LAMP_URL holds a name or a password, which would be recorded with the address. "
            "They belong into ~/.netrc, which is read."
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise SettingsError(
            f"QRAG_LAMP_URL is {base!r}, expected http(s)://HOST/FOLDER: the folder that holds "
            f"LaMP_1 and its kin, as {LAMP_URL} does."
        )
    return base.rstrip("/")
