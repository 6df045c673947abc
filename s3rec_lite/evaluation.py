"""Rank each user's held-out item by leave-one-out: over all items, or against sampled negatives.

Three protocols:

* "full": every item is a candidate except those of the user's history; the target always stays, even if the
  user has met it before. Padding and mask token are no items and no candidates. This is the default.
* "authors": full ranking by the rules of the authors' code. Items of the history are scored 0 rather than
  removed, the target too if it is among them, and padding and mask token are candidates.
* "sampled": the target against 99 items that the user never touched, drawn uniformly, as in the paper's
  Table 2. It answers an easier question, and it can order methods differently.

Ties are left to `s3rec_lite.metrics`, which takes the expectation over their random orders. The authors' code leaves
them to its sorting routine; that is the one point in which "authors" departs from it. Plain twin:
`s3rec_lite.plain.rank`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from s3rec_lite.data import SequenceData, distinct_items, pad_left
from s3rec_lite.metrics import Ranks
from s3rec_lite.support.checks import checked_negatives
from s3rec_lite.support.errors import DataError, S3RecError, SettingError
from s3rec_lite.support.fast import count_above, draw_untouched, rank_counts
from s3rec_lite.support.runtime import evaluation_mode
from s3rec_lite.support.scorer import Scorer as Scorer
from s3rec_lite.support.text import one_of
from s3rec_lite.support.workers import ALONE, Workers

PROTOCOLS = ("full", "authors", "sampled")
SPLITS = ("valid", "test")
_SCORES_PER_CHUNK = 2**22  # 16 MB of float32: the allocator reuses it, and it is fast


def full_ranks(
    model: Scorer,
    data: SequenceData,
    split: str = "test",
    *,
    seen: str = "remove",
    batch_size: int | None = None,
    on_users: Callable[[int], Any] | None = None,
    workers: Workers = ALONE,
) -> Ranks:
    """The rank of each user's target among all items, users in the order of the data.

    Args:
        model: what scores.
        data: the sequences.
        split: "valid" or "test". For "test" the history includes the validation item.
        seen: "remove" takes the items of the history out of the candidates, never the target; "keep" leaves them
            in; "zero" is the authors' rule: their scores, the target's too, become 0, and padding and mask token
            compete.
        batch_size: users scored at once; None picks one that needs little memory. It does not change the result.
        on_users: called with the number of users of each batch.
        workers: share out the batches among them; each gets all ranks.

    The full [users, items] matrix is never held: users are scored in chunks. The model's scores are not written to.
    """
    one_of(seen, ("remove", "keep", "zero"), "treatment of seen items")
    targets, num_rows = data.targets(one_of(split, SPLITS, "split")), data.num_items + 2
    counts = np.zeros((3, data.num_users), dtype=np.int64)  # greater, ties, candidates
    size = batch_size or min(1024, max(1, _SCORES_PER_CHUNK // num_rows))
    with evaluation_mode(model) as device:
        for users, histories, num_done in _history_chunks(data, split, model.max_length, size, workers):
            scores = model.score(histories.to(device))  # [B, items + 2]
            _check_shape(scores, (len(users), num_rows), "score")
            rows, items = distinct_items(data, data.offsets[users], data.history_ends(split)[users])
            if seen == "keep":
                rows, items = rows[:0], items[:0]
            counts[:, users] = rank_counts(scores, targets[users], rows, items, authors_rule=seen == "zero")
            if on_users:
                on_users(num_done)
    return Ranks(*workers.sum_array(counts))


def sampled_ranks(
    model: Scorer,
    data: SequenceData,
    split: str,
    negatives: np.ndarray,
    *,
    batch_size: int | None = None,
    on_users: Callable[[int], Any] | None = None,
    workers: Workers = ALONE,
) -> Ranks:
    """The rank of each user's target among itself and the given negatives, item ids [U, C].

    Raises DataError for negatives that do not fit the data. Other arguments as for `full_ranks`.
    """
    targets = data.targets(one_of(split, SPLITS, "split"))
    candidates = np.concatenate([targets[:, None], checked_negatives(negatives, data, split)], axis=1)  # [U, 1 + C]
    counts = np.zeros((2, data.num_users), dtype=np.int64)  # greater, ties
    size = batch_size or min(1024, max(1, _SCORES_PER_CHUNK // (64 * candidates.shape[1])))
    with evaluation_mode(model) as device:
        for users, histories, num_done in _history_chunks(data, split, model.max_length, size, workers):
            asked = torch.from_numpy(candidates[users]).to(device)  # [B, 1 + C], target first
            scores = model.score_candidates(histories.to(device), asked)  # [B, 1 + C]
            _check_shape(scores, tuple(asked.shape), "score_candidates")
            greater, at_least = count_above(scores, scores[:, 0])
            ties = at_least - greater - 1  # the target ties with itself
            counts[:, users] = torch.stack([greater, ties]).cpu().numpy()
            if on_users:
                on_users(num_done)
    greater, tied = workers.sum_array(counts)
    return Ranks(greater, tied, candidates.shape[1])


def draw_negatives(data: SequenceData, split: str, num_negatives: int = 99, seed: int = 0) -> np.ndarray:
    """Items that each user touched nowhere in the sequence, uniformly, none twice: int64 [U, num_negatives].

    Validation and test get different draws of the same seed; the authors used the same 99 for both, which
    tunes on the candidates of the test. Raises DataError if a user has fewer than num_negatives untouched
    items.
    """
    one_of(split, SPLITS, "split")
    if num_negatives < 1:
        raise SettingError(f"num_negatives must be at least 1, got {num_negatives}")
    owners, touched = distinct_items(data, data.offsets[:-1], data.offsets[1:])
    num_touched = np.bincount(owners, minlength=data.num_users)  # [U]
    untouched = data.num_items - num_touched
    if (untouched < num_negatives).any():
        user = int(untouched.argmin())
        short = int((untouched < num_negatives).sum())
        raise DataError(
            f"{short:,} of {data.num_users:,} users have fewer than {num_negatives} untouched items (user "
            f"{user} has {untouched[user]}): ask for {untouched[user]} at most, or use protocol 'full'"
        )
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    return draw_untouched(owners, touched, untouched, num_negatives, rng)


def _history_chunks(
    data: SequenceData, split: str, max_length: int, size: int, workers: Workers
) -> Iterator[tuple[np.ndarray, torch.Tensor, int]]:
    """Users [B] of similar history length, and their histories int64 [B, L], L the longest among them.

    Workers take turns; the number behind is that of the users whom all of them rank meanwhile.
    """
    starts, ends = data.offsets[:-1], data.history_ends(split)
    lengths = np.minimum(ends - starts, max_length)
    order = np.argsort(lengths, kind="stable")
    for begin in range(0, len(order), size * workers.size):
        users = order[begin + workers.rank * size :][:size]
        if len(users):
            width = max(1, int(lengths[users].max()))
            histories = torch.from_numpy(pad_left(data.items, starts[users], ends[users], width))
            yield users, histories, min(size * workers.size, len(order) - begin)


def _check_shape(scores: torch.Tensor, expected: tuple[int, ...], method: str) -> None:
    if tuple(scores.shape) != expected:
        raise S3RecError(f"model.{method} returned {tuple(scores.shape)}, expected {expected}")
