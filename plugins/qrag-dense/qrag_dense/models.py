"""Which weights are meant, and where they lie: a folder, or a model of the Hugging Face hub.

Nothing here loads a model. What a model *is* can be told without: a folder by a digest of its
files, a hub model by the commit of its revision.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qrag_tasks.errors import RetrieverError

from qrag_dense.digests import folder_digest

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = ("*.safetensors", "*.bin")
_TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.spm")
# The same weights for other frameworks: never loaded, so never fetched.
_OTHER_FRAMEWORKS = ("*.h5", "*.msgpack", "*.ot", "*.gguf", "onnx/*", "openvino/*", "coreml/*")


class ModelFolder:
    """A model in a folder of this machine.

    What the folder holds is remembered when :attr:`identity` is first read, and
    :meth:`check_unchanged` holds the folder to it: vectors of other weights must not be kept
    under that identity.

    :param name: the folder as the user wrote it.
    :param option: the option it came from, for messages.
    :ivar remedy: what to do where it cannot be loaded, for messages.
    """

    def __init__(self, name: str, option: str) -> None:
        self.name = name
        self.remedy = "check that the folder is whole"
        self._path = Path(name).expanduser().absolute()
        self._digest = ""
        if (
            not (self._path / "config.json").is_file()
            and not (self._path / "modules.json").is_file()
        ):
            raise RetrieverError(
                f"{option} is {name!r}: the folder holds neither config.json nor modules.json; "
                f"name a folder that save_pretrained or `hf download` wrote"
            )

    @property
    def identity(self) -> Mapping[str, str]:
        """What the model is, the same on every machine: a digest of its files."""
        self._digest = self._digest or folder_digest(self._path)
        return {"model": f"sha256:{self._digest}"}

    def folder(self) -> Path:
        """Return the folder, weights and all."""
        if not has_weights(self._path):
            raise RetrieverError(
                f"the model folder {self.name!r} holds no weights (*.safetensors or *.bin): "
                f"copy them there, or name another folder"
            )
        return self._path

    def config(self, name: str) -> Any:
        """Return the content of a json file of the model; ``{}`` where it has no such file."""
        return read_config(self._path, name)

    def check_unchanged(self) -> None:
        """Raise :class:`RetrieverError` if files changed since :attr:`identity` was read."""
        if self._digest and folder_digest(self._path) != self._digest:
            raise RetrieverError(
                f"the model folder {self.name!r} changed after this retriever was built: "
                f"run again, so that its vectors are kept apart from those of the old files"
            )


class HubModel:
    """A model of the Hugging Face hub, pinned to one commit when that is first asked for.

    A revision that stands in the local Hugging Face cache is taken from there, without a look
    at the network: a run offline and one online answer alike, until the user downloads again.

    :param id: ``owner/name``.
    :param revision: branch, tag or commit; empty for the default branch.
    :ivar remedy: what to do where it cannot be loaded, for messages.
    """

    def __init__(self, id: str, revision: str = "") -> None:  # noqa: A002 - the hub's own word
        self.name = id
        self.remedy = f"where files are missing, run `hf download {id}`"
        self._revision = revision
        self._commit = revision if _COMMIT.fullmatch(revision) else ""

    @property
    def identity(self) -> Mapping[str, str]:
        """What the model is, the same on every machine: its id and commit."""
        return {"model": self.name, "revision": self.commit}

    @property
    def commit(self) -> str:
        """The commit hash of the revision.

        :raises RetrieverError: when neither the local cache nor the hub can tell it.
        """
        if not self._commit:
            local = self._local_snapshot()
            self._commit = local.name if local else self._commit_of_the_hub()
        return self._commit

    def folder(self) -> Path:
        """Return the local snapshot, weights and all, fetched from the hub where it is missing.

        :raises RetrieverError: when it is not here and cannot be fetched.
        """
        local = self._local_snapshot()
        if local and has_weights(local) and _has_any(local, _TOKENIZERS):
            return local
        from huggingface_hub import HfApi, snapshot_download

        try:
            files = HfApi().list_repo_files(self.name, revision=self.commit)
            ignored = list(_OTHER_FRAMEWORKS)
            if any(file.endswith(".safetensors") for file in files):
                ignored.append("*.bin")
            found = snapshot_download(self.name, revision=self.commit, ignore_patterns=ignored)
        except Exception as error:
            raise self._not_to_be_had(error) from error
        if not has_weights(Path(found)):
            raise RetrieverError(
                f"the hub model {self.name!r} has no weights (*.safetensors or *.bin) "
                f"at revision {self.commit}"
            )
        return Path(found)

    def config(self, name: str) -> Any:
        """Return the content of a json file of the model; ``{}`` where it has no such file.

        That a file is absent here does not say that the model has none: another program may have
        fetched only what it needed. So the hub is asked, once for a commit.

        :raises RetrieverError: when it cannot be asked.
        """
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        local = self._local_snapshot()
        if local and (local / name).is_file():
            return read_config(local, name)
        if self._known_to_lack(name):
            return {}
        try:
            found = hf_hub_download(self.name, name, revision=self.commit)
        except LocalEntryNotFoundError as error:
            raise RetrieverError(
                f"whether the hub model {self.name!r} has a {name} is not known: the local "
                f"Hugging Face cache lacks it, and the hub cannot be asked. Download all of the "
                f"model where there is a network (`hf download {self.name} --local-dir FOLDER`) "
                f"and name that folder as the model"
            ) from error
        except EntryNotFoundError:
            return {}
        except Exception as error:
            raise self._not_to_be_had(error) from error
        return read_config(Path(found).parent, Path(found).name)

    def _known_to_lack(self, name: str) -> bool:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.name, name, revision=self.commit)
        return found is not None and not isinstance(found, str)

    def check_unchanged(self) -> None:
        """Do nothing: the files of a commit never change."""

    def _local_snapshot(self) -> Path | None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        revision = self._commit or self._revision or None
        try:
            return Path(snapshot_download(self.name, revision=revision, local_files_only=True))
        except LocalEntryNotFoundError:
            return None

    def _commit_of_the_hub(self) -> str:
        from huggingface_hub import HfApi

        try:
            told = HfApi().model_info(self.name, revision=self._revision or None, timeout=30)
        except Exception as error:
            raise self._not_to_be_had(error) from error
        return str(told.sha)

    def _not_to_be_had(self, error: Exception) -> RetrieverError:
        revision = self._commit or self._revision
        told = f" at revision {revision!r}" if revision else ""
        flag = f" --revision {revision}" if revision else ""
        cause = next(iter(str(error).strip().splitlines()), "")
        return RetrieverError(
            f"the model {self.name!r}{told} is neither a folder, nor in the local Hugging Face "
            f"cache, nor could the hub be asked ({type(error).__name__}: {cause}). "
            f"Where there is a network run `hf download {self.name}{flag}`, and either copy its "
            f"cache here or name the downloaded folder as the model"
        )


Model = ModelFolder | HubModel


def find_model(name: str, revision: str = "", option: str = "model", owner: str = "") -> Model:
    """Return the model that ``name`` means: an existing folder, else a model of the hub.

    :param name: a folder, or ``owner/name`` on the hub.
    :param revision: of a hub model.
    :param option: the option that ``name`` came from, for messages.
    :param owner: whose model a bare name means; empty: a bare name is refused.
    :raises RetrieverError: when it can be neither.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        if revision:
            raise RetrieverError(
                f"{option} is the folder {name!r}, and folders have no revision: "
                f"leave {revision!r} out, or name the hub model"
            )
        return ModelFolder(name, option)
    bare = owner and re.fullmatch(r"[\w-][\w.-]*", name)
    hub_id = f"{owner}/{name}" if bare else name
    if name.startswith((".", "~")) or path.is_absolute() or not _HUB_ID.fullmatch(hub_id):
        raise RetrieverError(
            f"{option} is {name!r}: there is no such folder, and it is no hub model "
            f"(owner/name) either"
        )
    return HubModel(hub_id, revision)


def has_weights(folder: Path) -> bool:
    """Return whether any weights that torch reads lie in or below ``folder``."""
    return _has_any(folder, _WEIGHTS)


def _has_any(folder: Path, patterns: Sequence[str]) -> bool:
    return any(any(folder.rglob(pattern)) for pattern in patterns)


def read_config(folder: Path, name: str) -> Any:
    """Return the content of a json file of a model, ``{}`` where the model has no such file.

    :raises RetrieverError: when it cannot be read.
    """
    path = folder / name
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_bytes())  # which json reads with a byte order mark, too
    except (OSError, ValueError) as error:
        raise RetrieverError(f"{os.fspath(path)} cannot be read: {error}") from error
