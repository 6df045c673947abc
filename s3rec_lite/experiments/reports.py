"""Evaluate a model and report the metrics with their chance level and an interval over users."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.evaluation import SPLITS, Scorer, draw_negatives, full_ranks, sampled_ranks
from s3rec_lite.experiments.statistics import bootstrap_means, bounds
from s3rec_lite.metrics import Ranks, chance, expected_metric, metric_names
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import one_of

DEFAULT_CUTOFFS = {"full": (5, 10, 20), "authors": (5, 10, 20), "sampled": (1, 5, 10)}
"""the k of HR@k and NDCG@k by protocol"""


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
        low, high = bounds(bootstrap_means(self.per_user(metric), resamples, seed), level)
        return float(low), float(high)

    def to_frame(self, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
        """A table with the columns metric, value, low and high, one row a metric."""
        values = np.stack([self.per_user(name) for name in self.metrics], axis=1)  # [U, M]
        low, high = bounds(bootstrap_means(values, resamples, seed), level)
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


def evaluate(
    model: Scorer,
    data: SequenceData,
    split: str = "test",
    protocol: str = "full",
    *,
    cutoffs: Sequence[int] | None = None,
    negatives: str | np.ndarray = "drawn",
    num_negatives: int = 99,
    seed: int = 0,
    batch_size: int | None = None,
    remove_seen: bool = True,
    on_users: Callable[[int], Any] | None = None,
    name: str | None = None,
) -> Report:
    """Rank each user's held-out item and report HR@k, NDCG@k and MRR.

    split: "valid" or "test". For "test" the history includes the validation item.
    protocol: "full", "authors" or "sampled"; see `s3rec_lite.evaluation`.
    cutoffs: the k of HR@k and NDCG@k; None takes 5, 10, 20, or 1, 5, 10 for "sampled".
    negatives: for "sampled": "drawn" with `seed`, anew for each split; "given", which takes
        `data.sampled_negatives`; or item ids [U, C], one row a user.
    num_negatives: how many to draw for each user.
    batch_size: users scored at once; None picks one that needs little memory. It does not change the result.
    remove_seen: for "full": False leaves the items of the history among the candidates.
    on_users: called with the number of users of each batch, for a progress bar.
    name: what the report calls the model; None takes the class name.

    Raises SettingError for settings out of range, DataError for negatives that do not fit the data and
    S3RecError (all are ValueErrors) for scores of the wrong shape or NaN.
    """
    protocol, split = one_of(protocol, DEFAULT_CUTOFFS, "protocol"), one_of(split, SPLITS, "split")
    cutoffs = _checked_cutoffs(DEFAULT_CUTOFFS[protocol] if cutoffs is None else cutoffs)
    if not remove_seen and protocol != "full":
        raise SettingError(f"remove_seen=False belongs to protocol 'full'; '{protocol}' has its own rule")
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"batch_size must be at least 1, got {batch_size}")
    if protocol == "sampled":
        table = _negative_table(data, split, negatives, num_negatives, seed)
        ranks = sampled_ranks(model, data, split, table, batch_size=batch_size, on_users=on_users)
    else:
        seen = "zero" if protocol == "authors" else "remove" if remove_seen else "keep"
        ranks = full_ranks(model, data, split, seen=seen, batch_size=batch_size, on_users=on_users)
    return Report(
        name=type(model).__name__ if name is None else name,
        split=split,
        protocol=protocol,
        ranks=ranks,
        users=np.arange(data.num_users),
        targets=data.targets(split),
        cutoffs=cutoffs,
    )


def _negative_table(
    data: SequenceData, split: str, negatives: str | np.ndarray, num_negatives: int, seed: int
) -> np.ndarray:
    if not isinstance(negatives, str):
        return np.asarray(negatives)
    if one_of(negatives, ("drawn", "given"), "kind of negatives") == "drawn":
        return draw_negatives(data, split, num_negatives, seed)
    if data.sampled_negatives is None:
        raise SettingError("negatives='given', but this data set has no sampled negatives: use 'drawn'")
    return data.sampled_negatives


def _checked_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    numbers: list[Any] = [cutoffs] if np.isscalar(cutoffs) else list(cutoffs)
    whole = [isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in numbers]
    if not numbers or not all(whole):
        raise SettingError(f"cutoffs must be whole numbers of at least 1, such as (5, 10), got {cutoffs!r}")
    return tuple(sorted({int(k) for k in numbers}))
