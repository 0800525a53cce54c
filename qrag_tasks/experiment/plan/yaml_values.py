"""Values as a reader of the plan knows them, and as the plan has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml


def plain(value: Any) -> str:
    """Return a value as a reader of the plan knows it."""
    if isinstance(value, (Mapping, list)):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    if value is None:
        return "nothing"
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)


def flow(value: Any) -> str:
    """Return a list or mapping as YAML writes it within a line: ``[lamp3u, lamp5u]``."""
    return yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000
    ).strip()
