"""Somebody's Jinja templates: rendered in a sandbox, without files, strict about names."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from qrag_tasks.errors import DataError, did_you_mean

_FILE = "<template>"
_GLOBALS = ("range", "namespace")
"""What templates have beside their fields: numbers, and variables that outlive a loop."""
_WIDEN = ("center", "expandtabs", "format", "format_map", "ljust", "rjust", "zfill")
"""Methods of texts, and filters, that make a text as long as a number says."""
_READS_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class BrokenTemplateError(DataError):
    """A template is wrong, or does not fit what it is rendered with.

    :ivar line: of the template, from 1; ``None`` where that is not known.
    """

    def __init__(self, text: str, line: int | None = None) -> None:
        where = "a template" if line is None else f"line {line} of a template"
        super().__init__(f"{where} of corpus.toml: {text}")
        self.text = text
        self.line = line


class _Sandbox(ImmutableSandboxedEnvironment):
    """Gives a template its fields alone: no files, no Python, no text of a gigabyte."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.filters = {name: made for name, made in self.filters.items() if name not in _WIDEN}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Tell whether a template may have an attribute; not what makes texts of any length."""
        widens = isinstance(obj, str) and attr in _WIDEN
        return not widens and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Leave ``format`` to :meth:`is_safe_attribute`; a sandbox would offer one of its own."""

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply and divide numbers, and nothing else."""
        numbers = isinstance(left, int | float) and isinstance(right, int | float)
        if operator == "**" or not numbers:
            raise SecurityError(f"'{operator}' is for numbers that are no texts, or not allowed")
        return super().call_binop(context, operator, left, right)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field of a document, which may be called ``items``, or an attribute."""
        if isinstance(obj, Mapping):
            return obj[attribute] if attribute in obj else self._no_field(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a field of a document, or an item."""
        if isinstance(obj, Mapping):
            return obj[argument] if argument in obj else self._no_field(obj, argument)
        return super().getitem(obj, argument)

    def _no_field(self, fields: Mapping[str, Any], name: Any) -> StrictUndefined:
        known = list(fields)
        return StrictUndefined(
            hint=f"there is no field {name!r} (known: {', '.join(known)})."
            + did_you_mean(str(name), known)
        )


_SANDBOX = _Sandbox()


@lru_cache(maxsize=64)
def _compiled(source: str) -> Template:
    code = _SANDBOX.compile(source, filename=_FILE)
    return _SANDBOX.template_class.from_code(_SANDBOX, code, _SANDBOX.make_globals(None))


@dataclass(frozen=True)
class TextTemplate:
    """A template that makes a text out of fields.

    It is hashable and can be pickled; it is compiled when it is first rendered.
    """

    source: str

    def render(self, fields: Mapping[str, Any]) -> str:
        """Return the text.

        :raises BrokenTemplateError: when it cannot be made of these fields.
        """
        try:
            return _compiled(self.source).render(fields)
        except TemplateSyntaxError as error:
            raise BrokenTemplateError(f"{error.message}", error.lineno) from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise BrokenTemplateError(
                str(error.args[0] if error.args else error), _line(error)
            ) from None

    def faults(self, known: Collection[str]) -> Iterator[BrokenTemplateError]:
        """Find what is wrong with it before it is rendered.

        :param known: the names that it may use.
        """
        try:
            tree = _SANDBOX.parse(self.source)
            _compiled(self.source)
        except TemplateSyntaxError as error:
            yield BrokenTemplateError(f"not a Jinja template: {error.message}", error.lineno)
            return
        for node in tree.find_all(_READS_FILES):
            what = {"FromImport": "import"}.get(type(node).__name__, type(node).__name__.lower())
            yield BrokenTemplateError(
                f"{{% {what} %}} reads another file, which templates may not here. Write all of "
                f"it in this one",
                node.lineno,
            )
        for name in sorted(meta.find_undeclared_variables(tree) - {*known, *_GLOBALS}):
            lines = [node.lineno for node in tree.find_all(nodes.Name) if node.name == name]
            yield BrokenTemplateError(
                f"unknown name {name!r} (known: {', '.join(known)}).{did_you_mean(name, known)}",
                min(lines, default=None),
            )


def _line(error: BaseException) -> int | None:
    """Return the line of the template in which something was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == _FILE]
    return lines[-1] if lines else None
