"""A new plugin, written from a template: ``qrag plugins new``.

The templates are packages that work (``plugins/templates`` of the repository): each is a plugin
called ``mine``, whose name is put in place of that word. What differs by kind or version stands
between two ``@``.
"""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version

from qrag_tasks import registry
from qrag_tasks.errors import SettingsError, StoreError
from qrag_tasks.installed import Origin
from qrag_tasks.locations import plugin_templates, share

_NAME = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9]))*")
_LONGEST = 40
_WORDS = re.compile(r"qrag-mine|qrag_mine|test_mine|Mine|(?<![A-Za-z])mine(?![A-Za-z])|@\w+@")
_MINI = '"data": "mini"'


@dataclass(frozen=True)
class Kind:
    """What a plugin can bring, and what its template says of that.

    :ivar summary: what the template's does, after its name.
    :ivar run: arguments of lm_eval that use it.
    :ivar extra: of qrag-tasks, without which it does not work.
    :ivar article: before the kind's name.
    :ivar checked_with: what ``qrag plugins check`` needs beside the name.
    :ivar files: path in the package's folder -> what it is, beside ``__init__.py``.
    """

    summary: str
    run: str
    extra: str = ""
    article: str = "a"
    checked_with: str = ""
    files: tuple[tuple[str, str], ...] = ()


KINDS: Mapping[str, Kind] = {
    "retriever": Kind(
        "ranks a user's documents by the words that they share with the question",
        f'lamp3u_rag_k1 --model dummy --limit 8 --metadata \'{{{_MINI}, "retriever": "mine"}}\'',
    ),
    "task": Kind(
        "asks which bird a watcher saw, on two questions of its own",
        "mine_rag_all_k1 --model dummy",
        files=(("dev.jsonl", "the questions, their documents and the right answers"),),
    ),
    "format": Kind(
        "keeps weights in 8 bits, with a scale for each row",
        "lamp3u_rag_k1 --model qrag --model_args precision=int8-mine --limit 4 "
        f"--metadata '{{{_MINI}}}'",
        extra="[hf]",
        files=(("layers.py", "its layers, and what has transformers make them"),),
    ),
    "engine": Kind(
        "runs a model of transformers, a prompt and a token at a time",
        "lamp3u_rag_k1 --model qrag --model_args engine=mine,precision=fp32 --limit 4 "
        f"--metadata '{{{_MINI}}}'",
        extra="[hf]",
        article="an",
        checked_with=" --model_args precision=fp32,device=cpu",
        files=(("engine.py", "what loads the model and answers"),),
    ),
}


@dataclass(frozen=True)
class Names:
    """What a plugin's parts are called.

    :ivar name: of its entry point, and of what it registers: ``my-own``.
    """

    name: str

    @property
    def distribution(self) -> str:
        """The package as pip knows it: ``qrag-my-own``."""
        return f"qrag-{self.name}"

    @property
    def module(self) -> str:
        """The package as Python knows it: ``qrag_my_own``."""
        return self.distribution.replace("-", "_")

    @property
    def title(self) -> str:
        """What the names of its classes begin with: ``MyOwn``."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    def words(self) -> dict[str, str]:
        """Return what stands in the place of each of the template's own names."""
        return {
            "qrag-mine": self.distribution,
            "qrag_mine": self.module,
            "test_mine": f"test_{self.name.replace('-', '_')}",
            "Mine": self.title,
            "mine": self.name,
        }


def new_plugin(name: str, kind: str, out: Path | None = None) -> Path:
    """Write a plugin that keeps its contract, and return its folder.

    The folder appears when all of it is written, or not at all.

    :param name: of what the plugin brings, ``longest``; its package is then ``qrag-longest``.
    :param kind: of :data:`KINDS`.
    :param out: the folder, which must not be there yet, or be empty; by default one that is named
        as the package, in the current folder.
    :raises SettingsError: when the name cannot be used or is taken, or something is at ``out``.
    :raises StoreError: when the folder cannot be written.
    """
    names = read_names(name)
    folder = Path(names.distribution) if out is None else out
    files = rendered(names, kind)
    _check_classes(names, kind)
    _check_free(names, files)
    if folder.is_symlink() or (folder.exists() and not _is_empty_folder(folder)):
        raise SettingsError(
            f"{folder}: is there already, and nothing is overwritten: remove it, or name another "
            f"folder by --out"
        )
    try:
        _write(files, folder)
    except OSError as error:
        raise StoreError(
            f"{error.filename or folder}: cannot be written: {error.strerror}"
        ) from error
    return folder


def read_names(given: str) -> Names:
    """Return a plugin's names: ``longest`` and ``qrag-longest`` are the same.

    :raises SettingsError: for a name that pip, Python and qrag would not all take as it is.
    """
    name = given.removeprefix("qrag-")
    if _NAME.fullmatch(name) and len(name) <= _LONGEST:
        return Names(name)
    plain = unicodedata.normalize("NFKD", given).encode("ascii", "ignore").decode().lower()
    near = re.sub(r"[^a-z0-9]+", "-", plain).strip("-").removeprefix("qrag-")[:_LONGEST].rstrip("-")
    hint = f". Did you mean {near!r}?" if _NAME.fullmatch(near) else ""
    raise SettingsError(
        f"the name {given!r}: expected a letter, then letters, digits and single hyphens, all of "
        f"them a-z and 0-9, at most {_LONGEST}{hint}"
    )


def rendered(names: Names, kind: str) -> dict[str, str]:
    """Return a plugin's files: path in its folder -> content."""
    words = {**names.words(), **_values(kind, names)}
    return {
        _WORDS.sub(lambda word: words[word[0]], path): _WORDS.sub(lambda word: words[word[0]], text)
        for path, text in _template(kind)
    }


def _template(kind: str) -> Iterator[tuple[str, str]]:
    for part in ("every", kind):
        root = plugin_templates() / part
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def _values(kind: str, names: Names) -> dict[str, str]:
    """Return what differs by kind, by the version of qrag-tasks, and by the year."""
    row, core = KINDS[kind], distribution("qrag-tasks")
    version = Version(core.version)
    beyond = f"0.{version.minor + 1}" if version.major == 0 else str(version.major + 1)
    run = _WORDS.sub(lambda word: names.words()[word[0]], f"lm_eval --tasks {row.run}")
    pythons = re.findall(
        r":: Python :: (\d\.\d+)$",
        "\n".join(core.metadata.get_all("Classifier") or ()),
        re.MULTILINE,
    )
    files = [("__init__.py", f"the {kind}, and the hook that registers it"), *row.files]
    values = {
        "kind": kind,
        "a_kind": f"{row.article} {kind}",
        "A_kind": f"{row.article.capitalize()} {kind}",
        "summary": f"{names.name} {row.summary}",
        "extra": row.extra,
        "check": row.checked_with,
        "files": "\n".join(f"| `{names.module}/{path}` | {what} |" for path, what in files),
        "lm_eval": run,
        "lm_eval_in_tox": re.sub(r"([{}])", r"\\\1", run),
        "lowest": version.public,
        "excluded": beyond,
        "lowest_lm_eval": _lowest("lm-eval", core.requires or ()),
        "pythons": f"{{{','.join(each.replace('.', '') for each in pythons)}}}",
        "quoted_pythons": ", ".join(f'"{each}"' for each in pythons),
        "year": str(datetime.now(timezone.utc).year),
    }
    return {f"@{key}@": value for key, value in values.items()}


def _lowest(name: str, requirements: Any) -> str:
    """Return the lowest version that qrag-tasks takes of a package."""
    (asked,) = (each for each in map(Requirement, requirements) if each.name == name)
    (lowest,) = (each.version for each in asked.specifier if each.operator == ">=")
    return lowest


def _check_classes(names: Names, kind: str) -> None:
    """Refuse a name whose classes would take the place of something that the template uses.

    :raises SettingsError: for it.
    """
    code = "\n".join(text for path, text in _template(kind) if path.endswith(".py"))
    known = set(re.findall(r"[A-Za-z_]\w*", code))
    own = {name for name in known if "Mine" in name}
    for made in sorted(name.replace("Mine", names.title) for name in own):
        if keyword.iskeyword(made) or made in known - own:
            raise SettingsError(
                f"the name {names.name!r}: its class would be {made}, which means something else "
                f"in Python or in the {kind}'s code. Choose another name"
            )


def _check_free(names: Names, files: Mapping[str, str]) -> None:
    """Register on trial what the plugin will bring, and see who else has its names.

    :raises SettingsError: where a name is taken, or is none that may be registered.
    """
    try:
        taken = distribution(names.distribution)
    except PackageNotFoundError:
        if find_spec(names.module) is not None:
            raise SettingsError(
                f"the name {names.name!r}: there is a package {names.module} here already. Choose "
                f"another name"
            ) from None
    else:
        raise SettingsError(
            f"the name {names.name!r}: {names.distribution} {taken.version} is installed here "
            f"already. Choose another name"
        )
    trial = registry.called(
        registry.Plugin(names.name, Origin(names.distribution, "0.1.0")),
        _module(names.module, files[f"{names.module}/__init__.py"]),
    )
    if trial.cause:
        raise SettingsError(f"the name {names.name!r}: {trial.cause}. Choose another name")
    own = {pair for each in registry.REGISTRIES for pair in each.names(trial)}
    for plugin in registry.plugins():
        for each in registry.REGISTRIES if plugin.state == "ok" else ():
            for what, name in filter(own.__contains__, each.names(plugin)):
                raise SettingsError(
                    f"the name {names.name!r}: {plugin.origin} has the {what} {name!r}. Choose "
                    f"another name"
                )


def _module(name: str, code: str) -> ModuleType:
    """Run a module of the template, which is on no disk yet."""
    module = ModuleType(name)
    module.__file__ = f"{name}/__init__.py"
    sys.modules[name] = module  # where a dataclass looks for its module
    try:
        exec(compile(code, module.__file__, "exec"), vars(module))  # noqa: S102 - our template
    finally:
        del sys.modules[name]
    return module


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _write(files: Mapping[str, str], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.new-", dir=folder.parent))
    try:
        for name, text in files.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        share(work)
        if folder.is_dir():
            folder.rmdir()  # an empty one; on some systems nothing is renamed to its name
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
