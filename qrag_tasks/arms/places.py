"""Where a model lies: the folders and names that model arguments give."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qrag_tasks.arms.formats.base import is_importable
from qrag_tasks.errors import ModelError

_PLACES = ("pretrained", "tokenizer", "peft", "delta")


def whole_place(place: str) -> str:
    """Return a folder or name with ``~`` written out: no shell does so within model arguments."""
    if not place.startswith("~"):
        return place
    try:
        return str(Path(place).expanduser())
    except RuntimeError:  # there is no such user
        return place


def with_whole_places(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return model arguments with ``~`` written out in those that name a folder."""
    return {
        name: whole_place(value) if name in _PLACES and isinstance(value, str) else value
        for name, value in arguments.items()
    }


def local_folder(pretrained: str, subfolder: str = "", gguf_file: str | None = None) -> Path | None:
    """Return the folder with a checkpoint's files; ``None`` where it is a name on the hub.

    :param gguf_file: name of the file in it that holds all; by default there is a config.json.
    :raises ModelError: when there is no such folder, or it does not hold what it must.
    """
    root = Path(whole_place(pretrained))
    if root.is_file() or root.suffix.lower() == ".gguf":
        raise _is_a_file(root)
    if not _is_local("pretrained", pretrained):
        return None
    folder = root / subfolder
    if not folder.is_dir():
        raise ModelError(f"pretrained={pretrained}: no such folder: {folder}")
    if gguf_file is None and not (folder / "config.json").is_file():
        raise _has_no_config(pretrained, folder)
    if gguf_file is not None and not (folder / gguf_file).is_file():
        raise ModelError(f"gguf_file={gguf_file}: no such file in {folder}.{_gguf_files(folder)}")
    return folder


def checked_places(arguments: Mapping[str, Any]) -> Path | None:
    """Check all that model arguments name a place of; return the checkpoint's folder.

    :returns: ``None`` where the checkpoint is a name on the hub.
    :raises ModelError: when something is not there.
    """
    check_additions(arguments)
    return local_folder(arguments["pretrained"], arguments.get("subfolder") or "")


def check_additions(arguments: Mapping[str, Any]) -> None:
    """Check what is to be put on a model, which is loaded only after it.

    :param arguments: ``peft`` and ``delta`` among them, where they were given.
    :raises ModelError: when it is not there, or what reads it is not installed.
    """
    if delta := arguments.get("delta"):
        _is_local("delta", delta)
    if not (peft := arguments.get("peft")):
        return
    if _is_local("peft", peft) and not Path(whole_place(peft), "adapter_config.json").is_file():
        raise ModelError(f"peft={peft} holds no adapter_config.json: name an adapter's folder")
    if not is_importable("peft"):
        raise ModelError(f"peft={peft} needs peft: pip install peft")


def _is_local(argument: str, given: str) -> bool:
    """Tell whether it is a folder here; else it must be a name that the hub could have."""
    path = Path(whole_place(given))
    if path.is_dir():
        return True
    if path.is_absolute() or given.startswith((".", "~")):
        raise ModelError(f"{argument}={given}: no such folder")
    return False


def _is_a_file(path: Path) -> ModelError:
    if path.suffix.lower() == ".gguf":
        return ModelError(
            f"pretrained={path} is a GGUF file: give --model qrag "
            f"pretrained={path},engine=llama_cpp, which runs it in llama.cpp; or, for its weights "
            f"unpacked by transformers, --model hf pretrained={path.parent},gguf_file={path.name}"
        )
    return ModelError(
        f"pretrained={path} is a file: name the folder that holds it, with its config.json"
    )


def _has_no_config(pretrained: str, folder: Path) -> ModelError:
    text = f"pretrained={pretrained} has no config.json in {folder}"
    if (folder / "adapter_config.json").is_file():
        return ModelError(f"{text}: it is an adapter; give the model it adapts, and this as peft=")
    if files := _gguf_files(folder):
        return ModelError(
            f"{text}.{files} Give --model qrag pretrained={folder}/NAME,engine=llama_cpp, which "
            f"runs one in llama.cpp; or, for its weights unpacked by transformers, --model hf with "
            f"gguf_file=NAME"
        )
    return ModelError(f"{text}: name the folder of a transformers checkpoint")


def _gguf_files(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*.gguf"))
    return f" It holds {', '.join(names)}." if names else ""
