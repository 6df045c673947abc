"""Ranks and the metrics of one relevant item per user: HR@k, NDCG@k and the reciprocal rank.

A rank is kept as two counts: how many candidates score strictly above the target (`greater`) and how many
others score exactly the same (`ties`). Every metric is then its expectation over a uniformly random order of
the tied candidates, so that a model which scores everything alike gets chance, not everything or nothing.
"""

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from s3rec_lite.support.errors import S3RecError, SettingError

_METRIC = re.compile(r"(HR|NDCG|MRR)(?:@([1-9][0-9]*))?")


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


def nearest_name(given: object, known: Iterable[str], what: str) -> SettingError:
    """The error for an unknown name, with the closest known one as the mend."""
    known = list(known)
    close = difflib.get_close_matches(str(given), known, n=1, cutoff=0.4)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known)}"
    return SettingError(f"unknown {what} '{given}': {hint}")


def parse_metric(metric: str) -> tuple[str, int | None]:
    """Split "NDCG@10" into ("NDCG", 10); "MRR" has the cutoff None. Raises SettingError for anything else."""
    match = _METRIC.fullmatch(metric) if isinstance(metric, str) else None
    if match is None or (match[2] is None and match[1] != "MRR"):
        raise nearest_name(metric, ["HR@1", "HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20", "MRR"], "metric")
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


def count_above(scores: torch.Tensor, thresholds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many scores of each row are greater than, and how many at least, its threshold: int64 [B] twice.

    scores: [B, C], thresholds: [B]. Raises S3RecError, a ValueError, if scores are NaN; infinities are fine.
    """
    # The sum is NaN whenever a score is and costs a fraction of isnan(); inf - inf is the only false alarm.
    if torch.isnan(scores.sum()) and (count := int(torch.isnan(scores).sum())):
        raise S3RecError(f"{count:,} of {scores.numel():,} scores are NaN and cannot be ranked: check the model")
    # Comparing into floats and multiplying by ones counts several times faster than summing booleans; float32
    # is exact up to 2^24 candidates.
    above = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
    ones = torch.ones(scores.shape[1], device=scores.device)
    greater = torch.gt(scores, thresholds[:, None], out=above) @ ones  # [B]
    at_least = torch.ge(scores, thresholds[:, None], out=above) @ ones  # [B]
    return greater.long(), at_least.long()
