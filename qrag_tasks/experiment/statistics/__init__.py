"""The statistics of a paired comparison; whole users are one unit where they repeat."""

from qrag_tasks.experiment.statistics.intervals import (
    Bootstrap,
    Interval,
    difference_interval,
    standard_error,
)
from qrag_tasks.experiment.statistics.scores import SCORES, Score, encode
from qrag_tasks.experiment.statistics.significance import (
    PermutationTest,
    draws_needed,
    equivalence_p,
    holm,
    permutation_p,
    permutation_test,
    smallest_effect,
)
from qrag_tasks.experiment.statistics.trends import Trend, trend
from qrag_tasks.experiment.statistics.units import FEWEST, Units

__all__ = [
    "FEWEST",
    "SCORES",
    "Bootstrap",
    "Interval",
    "PermutationTest",
    "Score",
    "Trend",
    "Units",
    "difference_interval",
    "draws_needed",
    "encode",
    "equivalence_p",
    "holm",
    "permutation_p",
    "permutation_test",
    "smallest_effect",
    "standard_error",
    "trend",
]
