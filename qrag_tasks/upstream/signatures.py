"""Whether functions of lm_eval still take what we give them."""

from __future__ import annotations

import inspect
from typing import Any


def expect(function: Any, *parameters: str) -> None:
    """Check that a function that is to be replaced takes what its replacement will give it.

    :raises TypeError: naming the first parameter that it does not have.
    """
    missing = set(parameters) - set(inspect.signature(function).parameters)
    if missing:
        raise TypeError(f"{function.__qualname__} has no parameter {sorted(missing)[0]!r}")
