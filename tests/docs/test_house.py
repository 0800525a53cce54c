"""What stands beside the code agrees with it: version, citation, forms, checklist."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from qrag_tasks.cli import main

ROOT = Path(__file__).parents[2]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def told_version() -> str:
    found = re.search(r'^version = "(.*)"$', read("pyproject.toml"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_command_tells_its_version() -> None:
    done = CliRunner().invoke(main, ["--version"])
    assert done.exit_code == 0
    assert done.output == f"qrag, version {version('qrag-tasks')}\n"


def test_all_tell_one_version() -> None:
    told = told_version()
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == told
    assert f"\n{'.'.join(told.split('.')[:2])}: " in read("README.md").partition("## Status")[2]
    released = re.findall(r"^## \[(\d\S*)\] - (\S+)$", read("CHANGELOG.md"), re.MULTILINE)
    if "date-released" in citation:
        assert released[0] == (told, str(citation["date-released"]))
    else:
        assert told not in dict(released)


def test_the_citation_is_what_the_format_asks_for() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert {"cff-version", "message", "title", "authors", "license", "type"} <= set(citation)
    assert f'license = "{citation["license"]}"' in read("pyproject.toml")
    identifiers = {
        each["identifiers"][0]["value"].removeprefix("arXiv:") for each in citation["references"]
    }
    assert identifiers == set(
        re.findall(r"arxiv\.org/abs/(\S+?)\)", read("README.md").partition("**See")[0])
    )


@pytest.mark.parametrize("path", [p for p in FORMS if p.stem != "config"], ids=lambda p: p.stem)
def test_a_form_is_what_the_format_asks_for(path: Path) -> None:
    form: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    ids = [part["id"] for part in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(part["attributes"]["label"] for part in form["body"])
    assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_the_commands_that_forms_name_are_there() -> None:
    texts = [path.read_text(encoding="utf-8") for path in FORMS]
    texts += [read("SECURITY.md"), read(".github/PULL_REQUEST_TEMPLATE.md")]
    named = {name for text in texts for name in re.findall(r"`qrag (\w+)", text)}
    assert named
    assert named <= set(main.commands)
