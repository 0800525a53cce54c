"""Two arms of 200 samples that were drawn, with four samples per user."""

from __future__ import annotations

import numpy as np

RNG = np.random.default_rng(0)
BASE = RNG.random(200)
OTHER = BASE + RNG.normal(0.02, 0.1, 200) * (RNG.random(200) < 0.5)
USERS = np.repeat(np.arange(50), 4)
