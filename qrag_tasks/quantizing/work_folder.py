"""The folder in which the work is done, and which appears under its name when all is done."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qrag_tasks.arms.checkpoint_files import SIDECARS
from qrag_tasks.errors import ModelError, QragError, SettingsError
from qrag_tasks.locations import share

logger = logging.getLogger("lm_eval.qrag_tasks")

# Of a checkpoint, what is not copied: weights in whatever format, and what is written again.
_NOT_COPIED = (
    *(".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx"),
    *(".index.json", "README.md"),
)


def check_free(out: Path) -> None:
    """Check that nothing is at ``out``, not even an empty folder or a dead link.

    :raises SettingsError: when there is.
    """
    if out.is_symlink() or out.exists():
        what = "a link" if out.is_symlink() else "a file" if out.is_file() else "a folder"
        if what == "a folder" and not any(out.iterdir()):
            what = "an empty folder"
        raise SettingsError(
            f"--out {out}: is there already, as {what}, and nothing is overwritten: name a folder "
            f"that is not there yet, or remove this one"
        )


@contextmanager
def work_folder(out: Path) -> Iterator[Path]:
    """Give a folder beside ``out`` that becomes ``out`` at the end, and is removed on an error."""
    prefix = f".{out.name}.quantizing-"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if others := sorted(out.parent.glob(f"{prefix}*")):
            logger.warning(
                "%s: of a run with the same --out that is at work now, or was killed; in the "
                "latter case it can be removed",
                ", ".join(map(str, others)),
            )
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    except OSError as error:
        raise SettingsError(f"--out {out}: cannot be written: {error}") from error
    try:
        yield work
        share(work)
        try:
            work.rename(out)
        except OSError as error:
            raise ModelError(
                f"--out {out}: appeared while this run was at work, and is left as it is "
                f"({error.strerror}). Run again with another --out."
            ) from error
    except QragError:
        raise
    except OSError as error:
        raise ModelError(f"--out {out}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def copy_other_files(source: Path, work: Path) -> None:
    """Put the source's tokenizer, template and generation config in place, to the byte.

    Quantizers write their own: GPT-QModel turns sampling on and changes the tokenizer's settings.
    """
    written = ("config.json", *SIDECARS)
    for path in work.iterdir():
        if path.suffix in (".json", ".jinja", ".model", ".txt") and not (
            path.name in written or path.name.endswith(".index.json")
        ):
            path.unlink()
    for path in source.iterdir():
        if path.name.startswith(".") or path.name == "config.json":
            continue
        if path.is_file() and not path.name.endswith(_NOT_COPIED):
            shutil.copyfile(path, work / path.name)
        elif path.name == "additional_chat_templates":
            shutil.copytree(path, work / path.name, dirs_exist_ok=True)
