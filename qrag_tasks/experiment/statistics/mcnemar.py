"""McNemar's test, for answers that are right or wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class McNemar:
    """What McNemar's test (1947) says of pairs of right and wrong answers.

    :ivar p: exact and two-sided: of the pairs that differ, as many are expected each way.
    :ivar mid_p: the same less half the probability of what was seen. The exact test errs far less
        often than it may, as counts are whole; by Fagerland, Lydersen and Laake (2013) mid-p comes
        nearer to what is stated, and hardly ever goes above it.
    """

    p: float
    mid_p: float


def mcnemar(better: int, worse: int) -> McNemar:
    """Test that pairs of independent samples differ one way as often as the other.

    :param better: samples that the other arm alone has right.
    :param worse: those that the base alone has right.
    """
    from scipy.special import bdtr

    fewer, differing = min(better, worse), better + worse
    so_few = float(bdtr(fewer, differing, 0.5))
    fewer_still = float(bdtr(fewer - 1, differing, 0.5)) if fewer else 0.0
    return McNemar(min(1.0, 2 * so_few), so_few + fewer_still)
