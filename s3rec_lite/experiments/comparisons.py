"""Whether the difference between two models on the same users is larger than chance over users allows."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from s3rec_lite.experiments.reports import Report
from s3rec_lite.experiments.statistics import bootstrap_means, bounds, sign_flip_p_value
from s3rec_lite.support.errors import SettingError


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
    low, high = bounds(bootstrap_means(values_a - values_b, resamples, seed), level)
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
