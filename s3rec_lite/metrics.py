"""Ranks and the metrics of one relevant item per user: HR@k, NDCG@k and the reciprocal rank.

Plain twins: `s3rec_lite.plain.hit_rate` and `s3rec_lite.plain.ndcg`, for ranks without ties.

A rank is kept as two counts: how many candidates score strictly above the target (`greater`) and how many
others score exactly the same (`ties`). Every metric is then its expectation over a uniformly random order of
the tied candidates, so that a model which scores everything alike gets chance, not everything or nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import suggest

_METRIC = re.compile(r"(HR|NDCG|MRR)(?:@([1-9][0-9]*))?")
_COMMON = ("HR@1", "HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20", "MRR")


@dataclass(frozen=True, eq=False)
class Ranks:
    """Where each user's target stands among its candidates.

    greater: int64 [U], candidates that score strictly above the target.
    ties: int64 [U], other candidates that score exactly as the target does.
    num_candidates: int64 [U] or one number for all, the target included.

    Raises SettingError if the counts cannot belong together.
    """

    greater: np.ndarray
    ties: np.ndarray
    num_candidates: np.ndarray

    def __post_init__(self) -> None:
        greater = np.asarray(self.greater, dtype=np.int64)
        ties = np.asarray(self.ties, dtype=np.int64)
        if greater.ndim != 1 or ties.shape != greater.shape:
            raise SettingError(f"greater and ties must both be [U], got {greater.shape} and {ties.shape}")
        try:
            candidates = np.broadcast_to(np.asarray(self.num_candidates, dtype=np.int64), greater.shape)
        except ValueError:
            raise SettingError(f"num_candidates must be one number or {len(greater):,} of them") from None
        if ((greater < 0) | (ties < 0) | (greater + ties >= candidates)).any():
            raise SettingError("every user needs greater >= 0, ties >= 0, greater + ties < num_candidates")
        object.__setattr__(self, "greater", greater)
        object.__setattr__(self, "ties", ties)
        object.__setattr__(self, "num_candidates", candidates)

    def __len__(self) -> int:
        return len(self.greater)


def parse_metric(metric: str) -> tuple[str, int | None]:
    """Split "NDCG@10" into ("NDCG", 10); "MRR" has the cutoff None. Raises SettingError for anything else."""
    match = _METRIC.fullmatch(metric) if isinstance(metric, str) else None
    if match is None or (match[2] is None and match[1] != "MRR"):
        raise SettingError(f"unknown metric '{metric}': {suggest(metric, _COMMON)}")
    return match[1], int(match[2]) if match[2] else None


def metric_names(cutoffs: Sequence[int]) -> list[str]:
    """HR@k and NDCG@k for each cutoff, smallest first, then MRR. NDCG@1 is left out: it equals HR@1."""
    return [f"{kind}@{k}" for k in cutoffs for kind in ("HR", "NDCG") if (kind, k) != ("NDCG", 1)] + ["MRR"]


def gain_by_rank(metric: str, num_ranks: int) -> np.ndarray:
    """What a target at rank 1, 2, ... num_ranks contributes to the metric: float64 [num_ranks]."""
    kind, cutoff = parse_metric(metric)
    rank = np.arange(1, num_ranks + 1, dtype=np.float64)
    gain = {"HR": np.ones_like(rank), "NDCG": 1 / np.log2(rank + 1), "MRR": 1 / rank}[kind]
    return gain if cutoff is None else np.where(rank <= cutoff, gain, 0.0)


def expected_metric(ranks: Ranks, metric: str) -> np.ndarray:
    """Each user's expected metric over a uniformly random order of the ties: float64 [U].

    With g candidates above and t tied, the rank is uniform on g+1 ... g+t+1, so the expectation is a mean of
    neighbouring gains and a difference of two entries of their cumulative table. Raises SettingError for an
    unknown metric.
    """
    gain = gain_by_rank(metric, int(ranks.num_candidates.max(initial=1)))  # [N]
    cumulative = np.concatenate(([0.0], np.cumsum(gain)))  # [N + 1]
    first, past = ranks.greater, ranks.greater + ranks.ties + 1  # [U]
    mean_gain = (cumulative[past] - cumulative[first]) / (past - first)
    return np.where(ranks.ties == 0, gain[first], mean_gain)  # without ties exact to the last digit


def chance(num_candidates: int | np.ndarray, cutoffs: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """What a model that knows nothing gets, as {"HR@1": ..., "MRR": ...}.

    num_candidates: how many candidates a user has, the target included; one number, or [U] to average over.
    """
    sizes, users = np.unique(np.atleast_1d(np.asarray(num_candidates, dtype=np.int64)), return_counts=True)
    ranks = Ranks(np.zeros_like(sizes), sizes - 1, sizes)
    return {name: float(np.average(expected_metric(ranks, name), weights=users)) for name in metric_names(cutoffs)}
