"""docs/plugins.md and the tests cover every hook, every check, every state of a plugin."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from plugin_files import InstallPlugin

from qrag_tasks import hookspecs
from qrag_tasks.registry import REGISTRIES
from qrag_tasks.retrieval.base import NEEDS
from qrag_tasks.testing import CHECKS, FORMAT_CHECKS, TASK_CHECKS, RetrieverConformance

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = [
    hook
    for name, hook in vars(hookspecs).items()
    if callable(hook) and hasattr(hook, f"{hookspecs.PROJECT}_spec")
]


def test_there_are_hooks() -> None:
    assert [hook.__name__ for hook in HOOKS] == re.findall(r"(?m)^### `(\w+)\(", PAGE)


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_every_hook_has_a_heading_with_its_signature(hook: object) -> None:
    assert callable(hook)
    signature = str(inspect.signature(hook)).replace("'", "")
    added = hookspecs.HOOKS[hook.__name__]
    assert f"### `{hook.__name__}{signature}`\n\nAdded in {added}.\n\n" in PAGE
    assert inspect.getdoc(hook)


# Hook -> code of something that is fit to be registered by it as `shown`.
SHOWN = {
    "qrag_register_retrievers": "from qrag_tasks.retrieval.baselines import First as VALUE",
    "qrag_register_prompt_styles": "VALUE = lambda task, question, items: question",
    "qrag_register_formats": """
from qrag_tasks.arms.formats.facts import Precision
from qrag_tasks.arms.formats.plain import Plain
class Shown(Plain):
    name = "shown"
    precisions = (Precision("bf16-shown", 16, "shown", "what the page shows"),)
VALUE = Shown()
""",
    "qrag_register_engines": """
from qrag_tasks.engines.base import Abilities, EngineFactory
VALUE = EngineFactory(Abilities(evidence="stated"), lambda arguments, meter: None, dict)
""",
    "qrag_register_tasks": """
from dataclasses import replace
from qrag_tasks.tasks.lamp.table import LAMP_TASKS
VALUE = replace(LAMP_TASKS["lamp7u"], name="shown", family="Shown", groups=())
""",
}


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.__name__)
def test_a_hook_is_called_as_the_page_shows_it(hook: Any, install: InstallPlugin) -> None:
    """A plugin that defines it with the page's own signature supplies what it registers."""
    (signature,) = re.findall(rf"(?m)^### `({hook.__name__}\(.*)`$", PAGE)
    registers = f"@hookimpl\ndef {signature}:\n    register('shown', VALUE)\n"
    code = f"from __future__ import annotations\n{SHOWN[hook.__name__]}\n"
    install("qrag_shown", f"{code}\nfrom qrag_tasks import hookimpl\n{registers}")
    (registry,) = (each for each in REGISTRIES if each.hook == hook.__name__)
    assert str(registry.get("shown").origin) == "qrag_shown 0.3"
    assert registry.kind in PAGE


def test_every_check_has_its_row() -> None:
    retrievers, _, others = PAGE.partition("## The conformance kit")[2].partition(
        "## The kit for formats"
    )
    formats, _, tasks = others.partition("## The kit for tasks")
    for told, checks in ((retrievers, CHECKS), (formats, FORMAT_CHECKS), (tasks, TASK_CHECKS)):
        for check in checks:
            assert f"| `{check.name}` | {check.summary.replace('``', '`')} |\n" in told
        assert len(re.findall(r"(?m)^\| `\w+` \|", told)) == len(checks)


def test_every_need_is_told() -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| `needs`")]
    for need in NEEDS:
        assert f"`{need}`" in row


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)[)#]", PAGE):
        assert (ROOT / "docs" / target).exists(), target


def test_the_examples_are_python_that_the_kit_takes() -> None:
    blocks = re.findall(r"(?m)^```python\n(.*?)^```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"ClassVar": ClassVar}
    for block in blocks:
        exec(compile(block, "docs/plugins.md", "exec"), names)  # noqa: S102 - our own examples
    classes = [value for value in names.values() if isinstance(value, type)]
    kits = [c for c in classes if RetrieverConformance in c.__bases__]
    assert [kit.spec for kit in kits] == ["longest:shortest=3", "newest"]
    assert set(kits[1].expected_failures) <= {check.name for check in CHECKS}
