"""The statistics of a paired comparison; whole users are one unit where they repeat."""

from qrag_tasks.experiment.statistics.intervals import (
    Bootstrap,
    Interval,
    difference_interval,
    draw_together,
    standard_error,
)
from qrag_tasks.experiment.statistics.scores import SCORES, Score, encode
from qrag_tasks.experiment.statistics.significance import (
    PermutationTest,
    draws_needed,
    effect_to_show,
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
    "draw_together",
    "draws_needed",
    "effect_to_show",
    "encode",
    "equivalence_p",
    "holm",
    "permutation_p",
    "permutation_test",
    "smallest_effect",
    "standard_error",
    "trend",
]
