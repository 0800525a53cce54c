"""Puts the page's parts into one file that loads nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

STYLES = ("base", "first_screen", "map", "figures", "samples", "print")
SCRIPTS = (
    "elements",
    "state",
    "map",
    "axes",
    "forest",
    "along_k",
    "attributes",
    "costs",
    "table",
    "samples",
    "page",
)
"""Parts of the page, in the order in which they stand in it."""


def assembled(**shown: Any) -> str:
    """Return the page.

    The scripts share one scope, which no other script sees.

    :param shown: what the template shows.
    """
    from jinja2 import Environment

    parts = files("qrag_tasks.experiment.report") / "page"
    style = "".join(_text(parts / "styles" / f"{name}.css") for name in STYLES)
    scripts = "".join(_text(parts / "scripts" / f"{name}.js") for name in SCRIPTS)
    script = f'"use strict";\n(() => {{\n{scripts}}})();\n'
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(_text(parts / "page.html.jinja"))
    policy = content_security_policy(script, style)
    return page.render(style=style, script=script, policy=policy, **shown)


def content_security_policy(script: str, style: str) -> str:
    """Return a policy under which this script and style are all that a browser takes.

    Attributes alone may hold further styles, as those of matplotlib's figures do; texts of models
    and reviews are never markup, and if one became so, nothing in it would run or be fetched.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src-elem {_hash(style)}",
            "style-src-attr 'unsafe-inline'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _text(resource: Any) -> str:
    return str(resource.read_text(encoding="utf-8"))
