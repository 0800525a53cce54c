"""The digest of a model folder: the same for the same files, wherever they lie.

Weights are hundreds of megabytes, so the digest of each file is remembered on disk for as long as
the file's size, times and inode stay what they were.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

from qrag_tasks.errors import RetrieverError
from qrag_tasks.locations import cache_dir

# Neither loaded nor read by transformers or sentence-transformers.
_IGNORED_SUFFIXES = {".md", ".h5", ".msgpack", ".ot", ".onnx", ".gguf", ".png", ".jpg", ".pyc"}
_IGNORED_FOLDERS = {"onnx", "openvino", "coreml", "__pycache__"}
# A file changed this short ago could change again without its times telling.
_SETTLED_SECONDS = 2.0

_Stamp = list[int]


def folder_digest(folder: Path) -> str:
    """Return the sha256, in hexadecimal, over names and contents of a model's files.

    :raises RetrieverError: when a file cannot be read.
    """
    remembered = _memory(folder)
    known = _recall(remembered)
    files: dict[str, tuple[_Stamp, str]] = {}
    try:
        for name, path in _model_files(folder):
            stamp = _stamp(path)
            if name in known and known[name][0] == stamp:
                files[name] = known[name]
            else:
                files[name] = (stamp, _sha256(path))
    except OSError as error:
        raise RetrieverError(f"the model folder {folder} cannot be read: {error}") from error
    if files != known:
        _remember(remembered, files)
    digest = hashlib.sha256()
    for name, (_, content) in sorted(files.items()):
        digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _model_files(folder: Path) -> list[tuple[str, Path]]:
    found = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in _IGNORED_FOLDERS]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() not in _IGNORED_SUFFIXES:
                found.append((path.relative_to(folder).as_posix(), path))
    return found


def _stamp(path: Path) -> _Stamp:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _memory(folder: Path) -> Path:
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    return cache_dir() / "embeddings" / "digests" / f"{name}.json"


def _recall(memory: Path) -> dict[str, tuple[_Stamp, str]]:
    # Absent, damaged or unreadable: the files are simply read again.
    try:
        told = json.loads(memory.read_text(encoding="utf-8"))
        return {name: (list(stamp), str(content)) for name, (stamp, content) in told.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _remember(memory: Path, files: dict[str, tuple[_Stamp, str]]) -> None:
    settled = (time.time() - _SETTLED_SECONDS) * 1e9
    kept = {name: entry for name, entry in files.items() if max(entry[0][1:3]) < settled}
    # It only saves time: where the cache cannot be written to, the next process reads again.
    with contextlib.suppress(OSError, UnicodeError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=memory.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(kept, file)
            Path(temporary).replace(memory)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
