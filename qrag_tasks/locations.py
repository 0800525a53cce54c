"""Where things lie: the cache, the default data root, the folder of task files."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent
RAG = "_rag"
"""What is in the name of every task file of ours and of plugins, and so in every task, group and
tag that lm_eval knows from us: names of others are told by it."""


def cache_dir() -> Path:
    """Return the folder for what qrag-tasks keeps between runs (not created here).

    ``$QRAG_CACHE``, else ``$XDG_CACHE_HOME/qrag-tasks``, else ``~/.cache/qrag-tasks``:
    the convention that the Hugging Face libraries follow.
    """
    if own := os.environ.get("QRAG_CACHE"):
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "qrag-tasks"


def mini_root() -> Path:
    """Return the data root of the embedded sample."""
    return _PACKAGE / "tasks" / "lamp" / "mini"


def embedded_model() -> Path:
    """Return the model folder of the embedded default model."""
    return _PACKAGE / "embedded"


def task_yamls() -> Path:
    """Return the folder of lm_eval task files, for ``lm_eval --include_path``.

    Inside the package when installed from a wheel, beside it in a checkout.
    """
    packaged = _PACKAGE / "task_yamls"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "task_yamls"


def plugin_templates() -> Path:
    """Return the folder of the templates for plugins.

    Inside the package when installed from a wheel, in ``plugins`` in a checkout.
    """
    packaged = _PACKAGE / "plugin_templates"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "plugins" / "templates"


def plugin_task_yamls() -> Path:
    """Return the folder in which task files are kept that are written for plugins' tasks."""
    return cache_dir() / "task_files"


def share(folder: Path) -> None:
    """Give a folder and all that is in it the modes that new ones have here.

    What libraries write through temporary files is for its owner's eyes only.
    """
    probe = folder / ".mode"
    probe.mkdir()
    for_folders = probe.stat().st_mode
    probe.rmdir()
    for path in (folder, *folder.rglob("*")):
        path.chmod(for_folders if path.is_dir() else for_folders & 0o666)
