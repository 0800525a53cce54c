"""How what takes long tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and of how many: 0 for unknown."""
