"""Evaluate a model by leave-one-out: scores to ranks to metrics, over all items or against sampled negatives.

Three protocols:

* "full": every item is a candidate except those of the user's history; the target always stays, even if the
  user has met it before. Padding and mask token are no items and no candidates. This is the default.
* "authors": full ranking by the rules of the authors' code. Items of the history are scored 0 rather than
  removed, the target too if it is among them, and padding and mask token are candidates.
* "sampled": the target against 99 items that the user never touched, drawn uniformly, as in the paper's
  Table 2. It answers an easier question, and it can order methods differently.

Under every protocol ties are settled by expectation over their random orders (see ranking.py). The authors'
code leaves them to its sorting routine; that is the one point in which "authors" departs from it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from tqdm.auto import tqdm

from s3rec_lite.data import SequenceData, pad_left
from s3rec_lite.experiments.statistics import Report
from s3rec_lite.metrics import Ranks, count_above, nearest_name
from s3rec_lite.support.errors import DataError, S3RecError, SettingError

PROTOCOLS = {"full": (5, 10, 20), "authors": (5, 10, 20), "sampled": (1, 5, 10)}  # name: default cutoffs
SPLITS = ("valid", "test")
_SCORES_PER_CHUNK = 2**22  # 16 MB of float32: the allocator reuses it, and it is fast


class Scorer(Protocol):
    """Anything that can be evaluated; a torch module is put in evaluation mode and asked on its own device.

    Histories are padded with 0 on the left and cut to the last `max_length` items; a batch is only as wide as
    its longest history, and the last item is always in the last column.
    """

    max_length: int

    def score(self, histories: torch.Tensor) -> torch.Tensor:
        """Histories int64 [B, L] to scores [B, num_items + 2] of all ids, padding and mask token included."""

    def score_candidates(self, histories: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Histories int64 [B, L] and item ids int64 [B, C] to the scores of those items: [B, C]."""


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
    progress: bool = False,
    name: str | None = None,
) -> Report:
    """Rank each user's held-out item and report HR@k, NDCG@k and MRR.

    split: "valid" or "test". For "test" the history includes the validation item.
    protocol: "full", "authors" or "sampled"; see the top of this module.
    cutoffs: the k of HR@k and NDCG@k; None takes 5, 10, 20, or 1, 5, 10 for "sampled".
    negatives: for "sampled": "drawn" with `seed`, anew for each split; "given", which takes
        `data.sampled_negatives`; or item ids [U, C], one row a user.
    num_negatives: how many to draw for each user.
    batch_size: users scored at once; None picks one that needs little memory. It does not change the result.
    remove_seen: for "full": False leaves the items of the history among the candidates.
    name: what the report calls the model; None takes the class name.

    Raises SettingError for settings out of range, DataError for negatives that do not fit the data and
    S3RecError (all are ValueErrors) for scores of the wrong shape or NaN.
    """
    protocol, split = _one_of(protocol, PROTOCOLS, "protocol"), _one_of(split, SPLITS, "split")
    cutoffs = _checked_cutoffs(PROTOCOLS[protocol] if cutoffs is None else cutoffs)
    if not remove_seen and protocol != "full":
        raise SettingError(f"remove_seen=False belongs to protocol 'full'; '{protocol}' has its own rule")
    if batch_size is not None and batch_size < 1:
        raise SettingError(f"batch_size must be at least 1, got {batch_size}")
    if protocol == "sampled":
        table = _negative_table(data, split, negatives, num_negatives, seed)
        ranks = sampled_ranks(model, data, split, table, batch_size=batch_size, progress=progress)
    else:
        seen = "zero" if protocol == "authors" else "remove" if remove_seen else "keep"
        ranks = full_ranks(model, data, split, seen=seen, batch_size=batch_size, progress=progress)
    return Report(
        name=type(model).__name__ if name is None else name,
        split=split,
        protocol=protocol,
        ranks=ranks,
        users=np.arange(data.num_users),
        targets=_array(data.targets(split)),
        cutoffs=cutoffs,
    )


def full_ranks(
    model: Scorer,
    data: SequenceData,
    split: str = "test",
    *,
    seen: str = "remove",
    batch_size: int | None = None,
    progress: bool = False,
) -> Ranks:
    """The rank of each user's target among all items, users in the order of the data.

    seen: "remove" takes the items of the history out of the candidates, never the target; "keep" leaves them
        in; "zero" is the authors' rule: their scores, the target's too, become 0, and padding and mask token
        compete.

    The full [users, items] matrix is never held: users are scored in chunks. The model's scores are not
    written to.
    """
    seen = _one_of(seen, ("remove", "keep", "zero"), "treatment of seen items")
    split = _one_of(split, SPLITS, "split")
    targets, num_rows = _array(data.targets(split)), data.num_items + 2
    greater, ties, num_candidates = (np.zeros(data.num_users, dtype=np.int64) for _ in range(3))
    size = batch_size or min(1024, max(1, _SCORES_PER_CHUNK // num_rows))
    with _evaluation_mode(model) as device:
        for users, histories in _history_chunks(data, split, model.max_length, size, progress):
            scores = model.score(histories.to(device))  # [B, items + 2]
            _check_shape(scores, (len(users), num_rows), "score")
            rows, items = _seen_pairs(data, split, users)
            if seen == "keep":
                rows, items = rows[:0], items[:0]
            greater[users], ties[users], num_candidates[users] = _chunk_ranks(
                scores, targets[users], rows, items, authors_rule=seen == "zero"
            )
    return Ranks(greater, ties, num_candidates)


def sampled_ranks(
    model: Scorer,
    data: SequenceData,
    split: str,
    negatives: np.ndarray,
    *,
    batch_size: int | None = None,
    progress: bool = False,
) -> Ranks:
    """The rank of each user's target among itself and the given negatives, item ids [U, C]."""
    split = _one_of(split, SPLITS, "split")
    negatives = _checked_negatives(negatives, data, split)
    candidates = np.concatenate([_array(data.targets(split))[:, None], negatives], axis=1)  # [U, 1 + C], target first
    greater, ties = (np.zeros(data.num_users, dtype=np.int64) for _ in range(2))
    size = batch_size or min(1024, max(1, _SCORES_PER_CHUNK // (64 * candidates.shape[1])))
    with _evaluation_mode(model) as device:
        for users, histories in _history_chunks(data, split, model.max_length, size, progress):
            asked = torch.from_numpy(candidates[users]).to(device)  # [B, 1 + C]
            scores = model.score_candidates(histories.to(device), asked)  # [B, 1 + C]
            _check_shape(scores, tuple(asked.shape), "score_candidates")
            above, at_least = count_above(scores, scores[:, 0])
            greater[users] = above.cpu().numpy()
            ties[users] = (at_least - above).cpu().numpy() - 1  # the target ties with itself
    return Ranks(greater, ties, candidates.shape[1])


def draw_negatives(data: SequenceData, split: str, num_negatives: int = 99, seed: int = 0) -> np.ndarray:
    """Items that each user touched nowhere in the sequence, uniformly, none twice: int64 [U, num_negatives].

    Validation and test get different draws of the same seed; the authors used the same 99 for both, which
    tunes on the candidates of the test. Raises DataError if a user has fewer than num_negatives untouched
    items.
    """
    split = _one_of(split, SPLITS, "split")
    if num_negatives < 1:
        raise SettingError(f"num_negatives must be at least 1, got {num_negatives}")
    stride, offsets = data.num_items + 2, _array(data.offsets)
    owners, positions = _spread(offsets[:-1], offsets[1:])
    owners, touched = np.divmod(np.unique(owners * stride + _array(data.items)[positions]), stride)
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
    places = _distinct_below(untouched, num_negatives, rng)  # [U, C], in the user's list of untouched items
    # The j-th touched item (from 0) has item - 1 - j untouched ones before it. Those with at most
    # `places` before them are to be stepped over on the way to the item at that place.
    first = np.cumsum(num_touched) - num_touched  # [U]
    before = touched - 1 - (np.arange(len(touched)) - first[owners])
    users = np.arange(data.num_users)[:, None]
    stepped = np.searchsorted(owners * stride + before, users * stride + places, side="right")
    return places + 1 + stepped - first[:, None]


def _distinct_below(sizes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """For each row `count` different integers of 0 ... size-1, every set equally likely: int64 [rows, count].

    Floyd's algorithm: one pass over `count`, all rows at once, no rejection however small the size.
    """
    chosen = np.empty((count, len(sizes)), dtype=np.int64)
    for drawn in range(count):
        last = sizes - count + drawn
        pick = rng.integers(0, last + 1)
        repeated = (chosen[:drawn] == pick).any(axis=0)
        chosen[drawn] = np.where(repeated, last, pick)
    return np.ascontiguousarray(chosen.T)


def _chunk_ranks(
    scores: torch.Tensor, targets: np.ndarray, rows: np.ndarray, items: np.ndarray, *, authors_rule: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """greater, ties and num_candidates, int64 [B] each, of one chunk of users.

    (rows, items) are the distinct seen items. They are counted with all others first and taken off
    afterwards: a few subtractions instead of a pass over the scores, and the model's tensor stays as it was.
    """
    num_users = len(targets)
    is_target = items == targets[rows]
    thresholds = scores[torch.arange(num_users), torch.from_numpy(targets)]  # [B], a copy
    if authors_rule:
        candidates = scores
        thresholds[torch.from_numpy(rows[is_target])] = 0.0
    else:
        candidates = scores[:, 1:-1]
        rows, items = rows[~is_target], items[~is_target]
    greater, at_least = (count.cpu().numpy() for count in count_above(candidates, thresholds))
    seen_scores = scores[torch.from_numpy(rows), torch.from_numpy(items)].cpu()
    limits = thresholds.cpu()[torch.from_numpy(rows)]

    def per_user(flags: torch.Tensor) -> np.ndarray:
        return np.bincount(rows[flags.numpy()], minlength=num_users)

    greater = greater - per_user(seen_scores > limits)
    at_least = at_least - per_user(seen_scores >= limits)
    if authors_rule:
        greater, at_least = greater + per_user(limits < 0), at_least + per_user(limits <= 0)
        num_candidates = np.full(num_users, candidates.shape[1])
    else:
        num_candidates = candidates.shape[1] - np.bincount(rows, minlength=num_users)
    return greater, at_least - greater - 1, num_candidates  # the target ties with itself


def _history_chunks(
    data: SequenceData, split: str, max_length: int, size: int, progress: bool
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Users [B] of similar history length, and their histories int64 [B, L], L the longest among them."""
    starts, ends = _array(data.offsets)[:-1], _array(data.history_ends(split))
    lengths = np.minimum(ends - starts, max_length)
    order = np.argsort(lengths, kind="stable")
    with tqdm(total=len(order), unit="user", desc=f"evaluate {split}", disable=not progress) as bar:
        for begin in range(0, len(order), size):
            users = order[begin : begin + size]
            width = max(1, int(lengths[users].max()))
            histories = pad_left(data.items, starts[users], ends[users], width)
            yield users, torch.as_tensor(histories, dtype=torch.int64)
            bar.update(len(users))


def _seen_pairs(data: SequenceData, split: str, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row, item) of every distinct item in the whole histories of these users, rows 0 ... len(users)-1."""
    rows, positions = _spread(_array(data.offsets)[users], _array(data.history_ends(split))[users])
    stride = data.num_items + 2
    return np.divmod(np.unique(rows * stride + _array(data.items)[positions]), stride)


def _spread(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row number and position of every element of the slices starts[i]:ends[i], one after the other."""
    lengths = ends - starts
    rows = np.repeat(np.arange(len(starts)), lengths)
    first = np.cumsum(lengths) - lengths
    return rows, np.arange(len(rows)) - first[rows] + starts[rows]


@contextmanager
def _evaluation_mode(model: Scorer) -> Iterator[torch.device]:
    """No gradients, no dropout; restores the mode of every submodule. Yields the model's device."""
    modules = list(model.modules()) if isinstance(model, torch.nn.Module) else []
    modes = [module.training for module in modules]
    parameter = next(model.parameters(), None) if modules else None
    for module in modules[:1]:
        module.eval()
    try:
        with torch.inference_mode():
            yield torch.device("cpu") if parameter is None else parameter.device
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _negative_table(
    data: SequenceData, split: str, negatives: str | np.ndarray, num_negatives: int, seed: int
) -> np.ndarray:
    if not isinstance(negatives, str):
        return np.asarray(negatives)
    if _one_of(negatives, ("drawn", "given"), "kind of negatives") == "drawn":
        return draw_negatives(data, split, num_negatives, seed)
    if data.sampled_negatives is None:
        raise SettingError("negatives='given', but this data set has no sampled negatives: use 'drawn'")
    return _array(data.sampled_negatives)


def _checked_negatives(negatives: np.ndarray, data: SequenceData, split: str) -> np.ndarray:
    negatives = np.asarray(negatives)
    if negatives.ndim != 2 or len(negatives) != data.num_users or negatives.shape[1] < 1:
        raise DataError(f"negatives must be [{data.num_users} users, at least 1 item], got {negatives.shape}")
    if not np.issubdtype(negatives.dtype, np.integer):
        raise DataError(f"negatives must be integer item ids, got {negatives.dtype}")
    if negatives.min() < 1 or negatives.max() > data.num_items:
        raise DataError(f"negatives must be item ids 1 to {data.num_items}, got {negatives.min()} to {negatives.max()}")
    holds_target = (negatives == _array(data.targets(split))[:, None]).any(axis=1)
    if holds_target.any():
        raise DataError(
            f"{int(holds_target.sum()):,} of {data.num_users:,} users have their {split} target among their "
            f"negatives, the first is user {int(holds_target.argmax())}: remove it there"
        )
    return negatives.astype(np.int64)


def _checked_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    numbers = [cutoffs] if np.isscalar(cutoffs) else list(cutoffs)
    whole = [isinstance(k, int | np.integer) and not isinstance(k, bool) and k >= 1 for k in numbers]
    if not numbers or not all(whole):
        raise SettingError(f"cutoffs must be whole numbers of at least 1, such as (5, 10), got {cutoffs!r}")
    return tuple(sorted({int(k) for k in numbers}))


def _check_shape(scores: torch.Tensor, expected: tuple[int, ...], method: str) -> None:
    if tuple(scores.shape) != expected:
        raise S3RecError(f"model.{method} returned {tuple(scores.shape)}, expected {expected}")


def _one_of(given: str, known: Sequence[str], what: str) -> str:
    if given not in known:
        raise nearest_name(given, known, what)
    return given


def _array(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)
