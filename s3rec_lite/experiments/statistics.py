"""Reports of an evaluation, and how far chance alone can move them.

Intervals and comparisons treat the users as the sample: how would the number differ with other users of the
same kind? They say nothing about other training seeds, which add a spread of their own.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from s3rec_lite.metrics import Ranks, chance, expected_metric, metric_names
from s3rec_lite.support.errors import SettingError

_DRAWS_PER_CHUNK = 2**20  # resampled users held at once: 8 MB


@dataclass(frozen=True, eq=False)
class Report:
    """What `evaluate` found, for each user and on average.

    name: of the model. split: "valid" or "test". protocol: "full", "authors" or "sampled".
    ranks: each user's rank. users, targets: int64 [U], user numbers and their held-out items.
    cutoffs: the k of HR@k and NDCG@k that `metrics` and the printed table show.
    """

    name: str
    split: str
    protocol: str
    ranks: Ranks
    users: np.ndarray
    targets: np.ndarray
    cutoffs: tuple[int, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """Means over users, always in the same order, such as {"HR@5": ..., "NDCG@5": ..., "MRR": ...}."""
        return {name: float(self.per_user(name).mean()) for name in metric_names(self.cutoffs)}

    def per_user(self, metric: str) -> np.ndarray:
        """One metric for every user, float64 [U]; any cutoff may be asked for, shown in the table or not."""
        return expected_metric(self.ranks, metric)

    def interval(self, metric: str, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
        """Percentile bootstrap interval of the metric's mean over users: (low, high)."""
        low, high = _bounds(bootstrap_means(self.per_user(metric), resamples, seed), level)
        return float(low), float(high)

    def to_frame(self, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
        """A table with the columns metric, value, low and high, one row a metric."""
        values = np.stack([self.per_user(name) for name in self.metrics], axis=1)  # [U, M]
        low, high = _bounds(bootstrap_means(values, resamples, seed), level)
        return pd.DataFrame(
            {"metric": list(self.metrics), "value": list(self.metrics.values()), "low": low, "high": high}
        )

    def to_dict(self) -> dict:
        """Everything but the single users, in types that JSON knows."""
        frame = self.to_frame()
        return {
            "name": self.name,
            "split": self.split,
            "protocol": self.protocol,
            "num_users": len(self.users),
            "candidates": {
                "least": int(self.ranks.num_candidates.min()),
                "mean": float(self.ranks.num_candidates.mean()),
                "most": int(self.ranks.num_candidates.max()),
            },
            "users_with_ties": int((self.ranks.ties > 0).sum()),
            "metrics": self.metrics,
            "intervals": {row.metric: [row.low, row.high] for row in frame.itertuples()},
            "chance": chance(self.ranks.num_candidates, self.cutoffs),
        }

    def __str__(self) -> str:
        facts = self.to_dict()
        least, most = facts["candidates"]["least"], facts["candidates"]["most"]
        candidates = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        lines = [
            f"{self.name}: {self.split} split, protocol {self.protocol}",
            f"{len(self.users):,} users, {candidates} candidates each",
            f"{'':<8}  {'value':>7}  {'95% interval':^18}  {'chance':>7}",
        ]
        for metric, value in self.metrics.items():
            low, high = facts["intervals"][metric]
            floor = facts["chance"][metric]
            lines.append(f"{metric:<8}  {value:7.4f}  {low:7.4f} to {high:7.4f}  {floor:7.4f}")
        if tied := facts["users_with_ties"]:
            lines.append(f"ties: {tied:,} of {len(self.users):,} users; their metrics are means over all orders")
        return "\n".join(lines)


@dataclass(frozen=True)
class Comparison:
    """One metric of two reports over the same users; differences are first minus second.

    low, high: paired bootstrap interval of the difference at `level`.
    p_value: two-sided, by exchanging the two models' results of randomly chosen users.
    """

    metric: str
    name_a: str
    name_b: str
    value_a: float
    value_b: float
    low: float
    high: float
    p_value: float
    num_users: int
    level: float = 0.95

    @property
    def difference(self) -> float:
        """value_a - value_b."""
        return self.value_a - self.value_b

    @property
    def larger_than_chance(self) -> bool:
        """Whether the interval excludes zero and the p-value is below 1 - level; both must agree."""
        return not self.low <= 0 <= self.high and self.p_value < 1 - self.level

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types that JSON knows."""
        verdict = {"difference": self.difference, "larger_than_chance": bool(self.larger_than_chance)}
        return {**dataclasses.asdict(self), **verdict}

    def __str__(self) -> str:
        if self.larger_than_chance:
            better = self.name_a if self.difference > 0 else self.name_b
            verdict = f"larger than chance over users allows, in favour of {better}"
        else:
            verdict = "within what chance over users allows: no difference can be claimed"
        return (
            f"{self.metric} over {self.num_users:,} users: {self.name_a} {self.value_a:.4f}, "
            f"{self.name_b} {self.value_b:.4f}, difference {self.difference:+.4f} ({self.level:.0%} interval "
            f"{self.low:+.4f} to {self.high:+.4f}, p = {self.p_value:.4f}), {verdict}."
        )


def compare(
    report_a: Report | Sequence[Report],
    report_b: Report | Sequence[Report],
    metric: str = "NDCG@10",
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Comparison:
    """Is the difference between two models on the same users larger than chance allows?

    Either side may be several reports of one model (say, of other training seeds): each user then counts with the
    mean over them, which takes part of the seeds' noise out of the difference.

    Raises SettingError if the reports differ in users, targets, split, protocol or number of candidates.
    """
    side_a, side_b = ([side] if isinstance(side, Report) else list(side) for side in (report_a, report_b))
    if not side_a or not side_b:
        raise SettingError("nothing to compare: give at least one report on each side")
    first = side_a[0]
    for other in (*side_a[1:], *side_b):
        _check_comparable(first, other)
    values_a, values_b = (np.mean([each.per_user(metric) for each in side], axis=0) for side in (side_a, side_b))
    low, high = _bounds(bootstrap_means(values_a - values_b, resamples, seed), level)
    suffixes = (" (first)", " (second)") if first.name == side_b[0].name else ("", "")
    return Comparison(
        metric=metric,
        name_a=first.name + suffixes[0],
        name_b=side_b[0].name + suffixes[1],
        value_a=float(values_a.mean()),
        value_b=float(values_b.mean()),
        low=float(low),
        high=float(high),
        p_value=sign_flip_p_value(values_a - values_b, resamples, seed),
        num_users=len(values_a),
        level=level,
    )


def _check_comparable(report_a: Report, report_b: Report) -> None:
    """Raise SettingError if the two differ in users, targets, split, protocol or number of candidates."""
    for what in ("split", "protocol"):
        first, second = getattr(report_a, what), getattr(report_b, what)
        if first != second:
            raise SettingError(f"the reports differ in {what} ('{first}' and '{second}'): evaluate both alike")
    same_users = np.array_equal(report_a.users, report_b.users)
    if not same_users or not np.array_equal(report_a.targets, report_b.targets):
        raise SettingError("the reports differ in users or held-out items: evaluate both on one data set")
    if not np.array_equal(report_a.ranks.num_candidates, report_b.ranks.num_candidates):
        raise SettingError("the reports rank different candidates: evaluate both with the same settings")


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


def _bounds(means: np.ndarray, level: float) -> np.ndarray:
    if not 0 < level < 1:
        raise SettingError(f"level must lie between 0 and 1, such as 0.95, got {level}")
    return np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
