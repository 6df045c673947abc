"""How far chance over users can move a mean, and whether printed means can belong together.

Users are the sample: how would the number differ with other users of the same kind? Nothing here speaks of other
training seeds, which add a spread of their own.
"""

import math

import numpy as np

from s3rec_lite.support.errors import SettingError

_DRAWS_PER_CHUNK = 2**20  # resampled users held at once: 8 MB


def bootstrap_means(values: np.ndarray, resamples: int = 2000, seed: int = 0) -> np.ndarray:
    """Means over users drawn with replacement: values [U] or [U, M] to float64 [resamples] or [resamples, M].

    The same seed draws the same users, so that several metrics, or two models, move together.
    """
    values = np.asarray(values, dtype=np.float64)
    num_users = len(values)
    if num_users == 0 or resamples < 1:
        raise SettingError(f"need at least 1 user and 1 resample, got {num_users} and {resamples}")
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, *values.shape[1:]))
    for part in _parts(resamples, num_users):
        drawn = rng.integers(0, num_users, size=(part.stop - part.start, num_users))  # [R, U]
        counts = np.stack([np.bincount(row, minlength=num_users) for row in drawn])  # [R, U]
        means[part] = counts.astype(np.float64) @ values / num_users
    return means


def sign_flip_p_value(differences: np.ndarray, resamples: int = 2000, seed: int = 0) -> float:
    """Two-sided p-value of [U] paired differences, if either sign of each were equally likely.

    Counts the observed signs as one of the draws, so it is never 0.
    """
    differences = np.asarray(differences, dtype=np.float64)
    differences = differences[differences != 0]  # a zero has no sign to flip
    if len(differences) == 0:
        return 1.0
    rng = np.random.default_rng([seed, 1])
    # Sums that are equal in exact arithmetic must count as equal here too.
    reached = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    at_least = 0
    for part in _parts(resamples, len(differences)):
        packed = rng.integers(0, 256, size=(part.stop - part.start, math.ceil(len(differences) / 8)), dtype=np.uint8)
        positive = np.unpackbits(packed, axis=1, count=len(differences)).astype(np.float64)  # [R, U]
        at_least += int((np.abs(2 * (positive @ differences) - differences.sum()) >= reached).sum())
    return (1 + at_least) / (1 + resamples)


def _parts(resamples: int, width: int) -> list[slice]:
    size = max(1, _DRAWS_PER_CHUNK // width)
    return [slice(begin, min(begin + size, resamples)) for begin in range(0, resamples, size)]


def bounds(means: np.ndarray, level: float) -> np.ndarray:
    if not 0 < level < 1:
        raise SettingError(f"level must lie between 0 and 1, such as 0.95, got {level}")
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)


def ndcg_feasible(
    hr_low: float,
    ndcg_low: float,
    hr_high: float,
    ndcg_high: float,
    k_low: int = 5,
    k_high: int = 10,
    rounding: float = 5e-5,
) -> bool:
    """Can these four published means belong together, if each user has exactly one relevant item?

    A hit at rank r adds 1/log2(r + 1). Hits up to k_low therefore add between 1/log2(k_low + 1) and 1 each to
    NDCG@k_low, and the hits that only k_high has, at ranks k_low + 1 ... k_high, add between
    1/log2(k_high + 1) and 1/log2(k_low + 2) each to NDCG@k_high.

    rounding: half a unit of the last printed digit; each number may be off by that much. Raises SettingError
    unless 1 <= k_low < k_high.
    """
    if not 1 <= k_low < k_high:
        raise SettingError(f"need 1 <= k_low < k_high, got k_low={k_low} and k_high={k_high}")
    slack = rounding * (1 + 1e-9)
    new_hits = hr_high - hr_low
    gained = ndcg_high - ndcg_low
    least, most = 1 / math.log2(k_high + 1), 1 / math.log2(k_low + 2)
    return (
        -2 * slack <= new_hits
        and hr_high <= 1 + slack
        and (hr_low - slack) / math.log2(k_low + 1) - slack <= ndcg_low <= hr_low + 2 * slack
        and (new_hits - 2 * slack) * least - 2 * slack <= gained <= (new_hits + 2 * slack) * most + 2 * slack
    )
