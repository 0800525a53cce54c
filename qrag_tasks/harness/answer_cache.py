"""lm_eval's ``--use_cache``: answers kept apart by the arm that gave them.

lm_eval keeps answers by the request alone, so that a second arm is served the answers of the
first. Here the digest of the arm (:func:`~qrag_tasks.arms.identity.arm_identity`) goes in
front of every key: always for models of ``transformers``, and for others in calls that hold a
request of ours. What the digest stands for is kept in the same file, as JSON, under
``"qrag-arm:"`` and the digest. Entries without a digest stay where they are, and are not served.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from qrag_tasks.arms.components import canonical
from qrag_tasks.arms.identity import Identity, arm_identity, is_read, remember_creation
from qrag_tasks.errors import StoreError
from qrag_tasks.harness.instances import is_ours
from qrag_tasks.upstream.signatures import expect

logger = logging.getLogger("lm_eval.qrag_tasks")

ARM = "qrag-arm:"
"""With a digest after it: the key of an arm's parts in the file."""

_CREATORS = ("create_from_arg_obj", "create_from_arg_string")
_ANSWERING = ("generate_until", "loglikelihood", "loglikelihood_rolling")
_PATIENCE_MS = 60_000


def remember_creation_arguments(module: ModuleType) -> None:
    """``lm_eval.api.model``: remember what every ``LM`` was created with.

    :raises AttributeError, TypeError: where lm_eval does not look as expected.
    """
    base = module.LM
    parse = module.utils.simple_parse_args_string

    def adapt(cls: Any) -> None:
        for name in _CREATORS:
            if isinstance(own := vars(cls).get(name), classmethod):
                setattr(cls, name, classmethod(_remembering(own.__func__, parse)))

    def init_subclass(cls: Any, /, **kwargs: Any) -> None:
        super(base, cls).__init_subclass__(**kwargs)
        adapt(cls)

    for name in _CREATORS:
        expect(getattr(base, name).__func__, "additional_config")
    if "__init_subclass__" in vars(base):
        raise TypeError("LM has an __init_subclass__ of its own")
    for cls in (base, *_derived(base)):
        adapt(cls)
    base.__init_subclass__ = classmethod(init_subclass)


def creation_is_remembered() -> bool:
    """Tell whether it is known of every model of this process how lm_eval created it."""
    return "__init_subclass__" in vars(sys.modules["lm_eval.api.model"].LM)


def _derived(cls: Any) -> Iterator[Any]:
    for derived in cls.__subclasses__():
        yield derived
        yield from _derived(derived)


def _remembering(original: Any, parse: Any) -> Any:
    @functools.wraps(original)
    def create(cls: Any, *args: Any, **kwargs: Any) -> Any:
        lm = original(cls, *args, **kwargs)
        arguments: dict[str, Any] = {}
        # Arguments as text or mapping, and lm_eval's additions; derived classes name them freely.
        for given in (*args, *kwargs.values()):
            if isinstance(given, str):
                arguments |= _parsed(given, parse)
            elif given is not None:
                arguments |= given if isinstance(given, Mapping) else {"given": given}
        remember_creation(lm, arguments)
        return lm

    return create


def _parsed(text: str, parse: Any) -> dict[str, Any]:
    try:
        return dict(parse(text))
    except ValueError:  # in a form of the class's own
        return {"arguments": text}


def keep_answers_apart(module: ModuleType) -> None:
    """``lm_eval.api.model``: have ``CachingLM`` serve an arm's own answers only.

    :raises AttributeError, TypeError: where lm_eval does not look as expected.
    """
    caching = module.CachingLM
    initialize, attribute = caching.__init__, caching.__getattr__
    expect(initialize, "lm", "cache_db")
    expect(module.CacheHook.__init__, "cachinglm")
    if "dbdict" not in inspect.unwrap(initialize).__code__.co_names:
        raise TypeError("CachingLM has no dbdict")

    def separate(self: Any) -> None:
        if not isinstance(self.dbdict, _Answers):
            self.dbdict = _Answers(self.dbdict, self.cache_db, closed=is_read(self.lm))
            self.lm.set_cache_hook(self.get_cache_hook())

    @functools.wraps(initialize)
    def init(self: Any, lm: Any, cache_db: str) -> None:
        initialize(self, lm, cache_db)
        separate(self)

    @functools.wraps(attribute)
    def getattribute(self: Any, name: str) -> Any:
        value = attribute(self, name)
        if name not in _ANSWERING:
            return value

        def answer(requests: Sequence[Any]) -> Any:
            separate(self)  # where it was made before this was in place
            if not (is_read(self.lm) or any(map(is_ours, requests))):
                return value(requests)
            with self.dbdict.of_arm(self.lm):
                return value(requests)

        return answer

    caching.__init__ = init
    caching.__getattr__ = getattribute


class _Answers:
    """The entries of a file, seen as those of one arm.

    :param entries: lm_eval's ``SqliteDict``.
    :param closed: whether, while no arm is set, there is nothing to be seen, and nothing kept;
        else the entries are seen as they are.
    """

    def __init__(self, entries: Any, file: str, closed: bool) -> None:
        self._entries = entries
        self._file = file
        self._closed = closed
        self._arm = ""
        self._told: set[str] = set()

    @contextlib.contextmanager
    def of_arm(self, lm: Any) -> Iterator[None]:
        """Show, and keep, the answers of this arm alone."""
        before = (self._arm, self._closed)
        identity = arm_identity(lm)
        self._arm, self._closed = f"{identity.digest}:", not identity.known
        try:
            self._tell(lm, identity)
            yield
        finally:
            self._arm, self._closed = before

    def _tell(self, lm: Any, identity: Identity) -> None:
        if not identity.known:
            if "" not in self._told:
                logger.warning(
                    "answers of this %s cannot be told from those of another model, so none is "
                    "taken from %s and none is kept there: %s, or give its class a method "
                    "arm_identity_parts() that returns, as a dict, all that its answers depend on",
                    type(lm).__qualname__,
                    self._file,
                    "let lm_eval create the model from its name and arguments"
                    if creation_is_remembered()
                    else "leave QRAG_AUTOLOAD=0 out",
                )
            self._told.add("")
        elif identity.digest not in self._told:
            logger.info(
                "answers in %s are kept apart by arm: this one is %s%s",
                self._file,
                identity.digest[:12],
                ", by its arguments alone" if "arguments" in identity.parts else "",
            )
            self._told.add(identity.digest)
            with self._or_say_what_to_do():
                # Another process may be writing the same file.
                self._entries.conn.select_one(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
                if ARM + identity.digest not in self._entries:
                    self._entries[ARM + identity.digest] = canonical(identity.parts)

    @contextlib.contextmanager
    def _or_say_what_to_do(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(
                f"--use_cache {self._file}: {error}. Answers that were kept before are still "
                f"there; name another file to go on without them."
            ) from error

    def __contains__(self, key: str) -> bool:
        with self._or_say_what_to_do():
            return not self._closed and self._arm + key in self._entries

    def __getitem__(self, key: str) -> Any:
        with self._or_say_what_to_do():
            return self._entries[self._arm + key]

    def __setitem__(self, key: str, answer: Any) -> None:
        if not self._closed:
            with self._or_say_what_to_do():
                self._entries[self._arm + key] = answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._entries, name)
