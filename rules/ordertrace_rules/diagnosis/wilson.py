"""Shares with their uncertainty, so that few cases prove little."""

import math

Z = 1.96
"""Two-sided 95 %: the usual width for one share. What comparing many shares does to it is the noise floor's job."""


def interval(k: float, n: float, z: float = Z) -> tuple[float, float]:
    """The Wilson score interval of the share `k` of `n`, within [0, 1]; all of it where `n` is 0.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    Raises ValueError unless 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"not a share: {k} of {n}")
    if n == 0:
        return 0.0, 1.0
    share, square = k / n, z * z
    centre = share + square / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    low, high = (centre - margin) / scale, (centre + margin) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))


def gap(affected: tuple[float, float], healthy: tuple[float, float], z: float = Z) -> float:
    """How far apart the intervals of two shares (k, n) lie, in [-1, 1]; negative where they overlap."""
    low_a, high_a = interval(*affected, z)
    low_h, high_h = interval(*healthy, z)
    return max(low_a - high_h, low_h - high_a)


def excess(affected: tuple[float, float], healthy: tuple[float, float], z: float = Z) -> float:
    """How far the affected share lies above the healthy one, in [-1, 1]; negative where they overlap."""
    return interval(*affected, z)[0] - interval(*healthy, z)[1]
