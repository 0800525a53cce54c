"""The hooks that plugins implement, and their contracts.

A plugin is a module (or any object) named by an entry point in the group ``qrag``, with functions
marked :data:`hookimpl`. All hooks are called once a process, when something that plugins supply is
first listed or asked for, never at import; every plugin is called, whichever is then used. So they
must be quick, import nothing heavy, read no file and open no connection: register factories, and
let these do the work.

A hook that raises takes only its own plugin down: it is left out with one warning, and asking for
what it supplies is an error with the cause. A function marked as a hook whose name is none of
those below is an error of its plugin, unless it is optional: ``@hookimpl(optionalhook=True)``, for
a hook that only later versions of qrag-tasks have. Every hook carries the version that added it
(:data:`HOOKS`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

import pluggy

if TYPE_CHECKING:
    from qrag_tasks.arms.formats.base import Format
    from qrag_tasks.engines.base import EngineFactory
    from qrag_tasks.prompting.base import PromptStyle
    from qrag_tasks.retrieval.base import Retriever
    from qrag_tasks.tasks.base import Task

PROJECT = "qrag"
"""The entry-point group in which plugins announce themselves, and pluggy's project name."""

hookimpl = pluggy.HookimplMarker(PROJECT)

HOOKS: dict[str, str] = {}
"""Name of every hook -> the version of qrag-tasks that added it."""

Hook = TypeVar("Hook", bound=Callable[..., None])


def _added_in(version: str) -> Callable[[Hook], Hook]:
    """Make a function the specification of a hook.

    :param version: of qrag-tasks, the first that has the hook.
    """

    def specify(hook: Hook) -> Hook:
        HOOKS[hook.__name__] = version
        return pluggy.HookspecMarker(PROJECT)(hook)

    return specify


class RegisterRetriever(Protocol):
    """The callback that :func:`qrag_register_retrievers` is given."""

    def __call__(self, name: str, factory: Callable[..., Retriever]) -> None:
        """Make a retriever known.

        :param name: what users write: lower-case letters, digits, ``-``; unique among all
            plugins that are installed.
        :param factory: builds the retriever, a class as a rule. Its keyword parameters are the
            options that users may give (``name:option=value,...``); annotations or defaults say
            whether a value is read as ``int``, ``float``, ``bool`` or ``str``. One
            positional-only parameter takes the whole text after the colon (``name:TEXT``). It is
            called only when the retriever is asked for, and raises ``ValueError`` for an option
            it refuses. Models are best loaded at the first ``rank``: a run whose rankings are
            kept already builds the retriever and never ranks.
        :raises RetrieverError: when the name is not of that form, or is registered twice.
        """
        ...


class RegisterPromptStyle(Protocol):
    """The callback that :func:`qrag_register_prompt_styles` is given."""

    def __call__(self, name: str, style: PromptStyle) -> None:
        """Make a prompt style known.

        :param name: what users write: lower-case letters, digits, ``-``; unique.
        :param style: writes a prompt; see :class:`~qrag_tasks.prompting.base.PromptStyle`.
        :raises SettingsError: when the name is not of that form, or is registered twice.
        """
        ...


class RegisterFormat(Protocol):
    """The callback that :func:`qrag_register_formats` is given."""

    def __call__(self, name: str, value: Format) -> None:
        """Make a format of weights known.

        :param name: what results call ``method``: lower-case letters, digits, ``-``; unique, and
            the ``name`` of the format.
        :param value: knows all that is special about one way to store weights; its
            ``precisions`` are what users write. See :class:`~qrag_tasks.arms.formats.base.Format`.
        :raises SettingsError: when the name is not of that form, is registered twice or is not the
            format's own; when rows of its precisions cannot be told apart.
        """
        ...


class RegisterEngine(Protocol):
    """The callback that :func:`qrag_register_engines` is given."""

    def __call__(self, name: str, factory: EngineFactory) -> None:
        """Make an engine known.

        :param name: what users write: lower-case letters, digits, ``-``; unique.
        :param factory: what the engine can do, and how it is loaded. The module that runs models is
            best imported by its ``load``.
        :raises SettingsError: when the name is not of that form, or is registered twice.
        """
        ...


class RegisterTask(Protocol):
    """The callback that :func:`qrag_register_tasks` is given."""

    def __call__(self, name: str, row: Task) -> None:
        """Make a task known.

        :param name: what lm_eval's names begin with: lower-case letters, digits, ``-``; unique
            among all plugins, and the ``name`` of the row. So are its groups, without their k,
            and the tag of its family: of one plugin each.
        :param row: says all of the task; see :class:`~qrag_tasks.tasks.base.Task`. Its source
            reads no data before it is asked to.
        :raises SettingsError: when the name is not of that form, is registered twice or is not the
            row's own; when lm_eval could not tell the task's name from that of a group.
        """
        ...


@_added_in("0.1.0")
def qrag_register_retrievers(register: RegisterRetriever) -> None:
    """Call ``register(name, factory)`` for every retriever this plugin supplies.

    The contract of what the factory builds is :class:`~qrag_tasks.retrieval.base.Retriever`;
    ``qrag plugins check NAME`` and :mod:`qrag_tasks.testing` hold a retriever to it.
    """


@_added_in("0.1.0")
def qrag_register_prompt_styles(register: RegisterPromptStyle) -> None:
    """Call ``register(name, style)`` for every prompt style this plugin supplies.

    A style is chosen by ``--metadata '{"prompt": NAME}'``.
    """


@_added_in("0.1.0")
def qrag_register_formats(register: RegisterFormat) -> None:
    """Call ``register(name, format)`` for every format of weights this plugin supplies.

    Each of the format's precisions is chosen by ``--model_args precision=NAME``. The contract is
    :class:`~qrag_tasks.arms.formats.base.Format`; :class:`~qrag_tasks.testing.FormatConformance`
    holds a format to it.
    """


@_added_in("0.1.0")
def qrag_register_engines(register: RegisterEngine) -> None:
    """Call ``register(name, factory)`` for every engine this plugin supplies.

    An engine is chosen by the model argument ``engine=NAME`` of ``--model qrag``. The contract of
    what the factory loads is :class:`~qrag_tasks.engines.base.Engine`; :mod:`qrag_tasks.testing`
    holds an engine to it.
    """


@_added_in("0.1.0")
def qrag_register_tasks(register: RegisterTask) -> None:
    """Call ``register(name, row)`` for every task this plugin supplies.

    lm_eval then knows ``NAME_rag_k5``, and so on for every k, and the groups that rows name. The
    contract is :class:`~qrag_tasks.tasks.base.Task`; :class:`~qrag_tasks.testing.TaskConformance`
    holds a row and its data to it.
    """
