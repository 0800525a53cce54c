"""The statistics of a paired comparison; whole users are one unit where they repeat."""

from qrag_tasks.experiment.statistics.intervals import (
    Bootstrap,
    Interval,
    difference_interval,
    standard_error,
)
from qrag_tasks.experiment.statistics.scores import SCORES, Score, encode
from qrag_tasks.experiment.statistics.significance import (
    equivalence_p,
    holm,
    permutation_p,
    smallest_effect,
)
from qrag_tasks.experiment.statistics.trends import Trend, trend

__all__ = [
    "SCORES",
    "Bootstrap",
    "Interval",
    "Score",
    "Trend",
    "difference_interval",
    "encode",
    "equivalence_p",
    "holm",
    "permutation_p",
    "smallest_effect",
    "standard_error",
    "trend",
]
