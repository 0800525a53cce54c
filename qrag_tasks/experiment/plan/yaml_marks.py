"""A plan's YAML, and where everything stands in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from qrag_tasks.errors import PlanError
from qrag_tasks.experiment.plan.findings import Place
from qrag_tasks.experiment.plan.yaml_values import plain
from qrag_tasks.text_files import NotUTF8Error, decoded


@dataclass
class Marks:
    """Where everything stands in a file.

    :ivar lines: field -> its line, from 1.
    :ivar written: field -> the letters of its value, where that is a single one and not quoted.
    :ivar twice: the fields that are there twice.
    """

    lines: dict[Place, int] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)
    twice: list[tuple[int, str]] = field(default_factory=list)

    def line(self, place: Place) -> int:
        """Return the line of a field; of a missing one, where its mapping begins."""
        while place not in self.lines and place:
            place = place[:-1]
        return self.lines.get(place, 1)

    def as_written(self, place: Place, value: Any) -> str:
        """Tell what was written, where YAML reads something else: ``no`` as false, ``010`` as 8.

        :param value: what YAML reads there.
        """
        letters = self.written.get(place)
        if not letters or isinstance(value, str) or letters in (str(value), plain(value), "null"):
            return ""
        if isinstance(value, float) and _is_number(letters, value):
            return ""
        return f" ({letters!r} as YAML reads it; quoted it is a text)"

    def note(self, node: yaml.Node, place: Place = (), above: frozenset[int] = frozenset()) -> None:
        """Note all of a document.

        :raises yaml.YAMLError: when an alias stands within what it is an alias of.
        """
        if id(node) in above:
            raise yaml.composer.ComposerError(
                problem="an alias stands within what it stands for", problem_mark=node.start_mark
            )
        above |= {id(node)}
        self.lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    continue  # no field of ours; safe_load refuses it
                inner = (*place, key.value)
                line = key.start_mark.line + 1
                if key.value in seen:
                    self.twice.append((line, f"{dotted(inner)}: it is there twice"))
                seen.add(key.value)
                self.note(value, inner, above)
                self.lines[inner] = line
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self.note(value, (*place, index), above)
        elif isinstance(node, yaml.ScalarNode) and node.style is None:
            self.written[place] = node.value


def _is_number(letters: str, value: float) -> bool:
    """Tell whether letters say a number as everybody reads it: ``.1``, and no sexagesimal."""
    try:
        return float(letters) == value
    except ValueError:
        return False


def read_yaml(path: Path, marks: Marks) -> Any:
    """Return what a file of YAML holds, and note in ``marks`` where it stands.

    :raises PlanError: when the file cannot be read, or is not YAML.
    """
    try:
        text = decoded(path.read_bytes())
    except FileNotFoundError:
        raise PlanError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise PlanError(f"{path} is a folder: name the plan, a YAML file") from None
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from error
    except NotUTF8Error as error:
        raise PlanError(f"{path}: {error}.") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            marks.note(root)
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f":{mark.line + 1}"
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise PlanError(f"{path}{line}: not valid YAML: {reason}") from None
    except ValueError as error:  # 2024-13-01 is no date
        raise PlanError(f"{path}: not valid YAML: {error}") from None


def dotted(place: Place) -> str:
    """Return a field as a reader writes it: ``models[0].pretrained``."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
