"""The statistics of a paired comparison; whole users are one unit where they repeat."""

from qrag_tasks.experiment.statistics.intervals import (
    Bootstrap,
    Interval,
    difference_interval,
    draw_together,
    standard_error,
)
from qrag_tasks.experiment.statistics.mcnemar import McNemar, mcnemar
from qrag_tasks.experiment.statistics.pooling import PooledCell, pooled_loss, pooled_recovery
from qrag_tasks.experiment.statistics.power import (
    effect_to_show,
    errors_to_show,
    growth_to_settle,
    smallest_effect,
    units_to_show,
)
from qrag_tasks.experiment.statistics.scores import SCORES, Score, encode
from qrag_tasks.experiment.statistics.significance import (
    PermutationTest,
    draws_needed,
    equivalence_p,
    holm,
    permutation_p,
    permutation_test,
)
from qrag_tasks.experiment.statistics.trends import Trend, trend, trend_among
from qrag_tasks.experiment.statistics.units import FEWEST, Units

__all__ = [
    "FEWEST",
    "SCORES",
    "Bootstrap",
    "Interval",
    "McNemar",
    "PermutationTest",
    "PooledCell",
    "Score",
    "Trend",
    "Units",
    "difference_interval",
    "draw_together",
    "draws_needed",
    "effect_to_show",
    "encode",
    "equivalence_p",
    "errors_to_show",
    "growth_to_settle",
    "holm",
    "mcnemar",
    "permutation_p",
    "permutation_test",
    "pooled_loss",
    "pooled_recovery",
    "smallest_effect",
    "standard_error",
    "trend",
    "trend_among",
    "units_to_show",
]
