"""What the documents of PersonaMem's tasks can be."""

from __future__ import annotations

from typing import Literal

Setting = Literal["turns", "sessions", "full"]
"""What documents are: messages, or whole sessions; or there are none, and the prompt holds all."""
