"""How much mutual information a model's four critics show: did pre-training make them better?

Each critic scores pairs of views that belong together against pairs that do not, and InfoNCE (equation 2) turns the
scores into nats. The information itself is a constant of the data; only what is shown of it can rise. For AAP, MIP and
MAP the item is the user's validation item, which pre-training never saw in this context. The segment of SP only ends
with it: the rest, nine of ten items on ml-100k, was seen in pre-training. The negatives are the partners of other
users: draws from the marginal, so that each value is a lower bound in expectation. Losses such as binary
cross-entropy, or negatives drawn uniformly, leave the scores on another scale than the log ratio that InfoNCE wants;
two numbers, a scale and a weight of the partner's log popularity, are fitted for that on half of the users and
measured on the other half.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData, pad_left
from s3rec_lite.information.bounds import info_nce, log_k_cap
from s3rec_lite.information.exact import training_popularity
from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.errors import SettingError

_CHUNK = 256  # histories encoded at once


def measured_bounds(
    model: S3Rec, data: SequenceData, num_candidates: int = 100, repeats: int = 10, seed: int = 0
) -> pd.DataFrame:
    """InfoNCE values of the four critics on the validation split, in nats.

    Views: AAP, the state at the item with its history, and one of its attributes; MIP, the state at a mask in the
    item's place, and the item; MAP, the same state and an attribute; SP, the state of a history whose last
    quarter is masked, and that of this quarter.

    Args:
        model: in the state to be measured.
        data: at least ``2 * num_candidates`` users whose validation item has an attribute.
        num_candidates: K, the positive among them; no value can exceed log K.
        repeats: times that users are shuffled into groups of K and attributes drawn; groups of different repeats
            share users, so the standard error is a little too small.
        seed: of shuffling and drawing.

    Returns a row for each objective: nats, standard_error (over groups, nats), cap. Raises SettingError for too
    few users.
    """
    items = torch.from_numpy(data.targets("valid"))
    users = np.flatnonzero(data.attributes[items, 1:].any(dim=1).numpy())
    if not 2 <= num_candidates <= len(users) // 2:
        raise SettingError(
            f"num_candidates {num_candidates}: give 2 to {len(users) // 2}, half of the users that can be used"
        )
    with model.evaluating():
        left = _left_sides(model, data, users)

    # Right sides that do not change between repeats, and the log popularity of items and attributes.
    item_states = model.item_embeddings.weight.detach()[items[users]]  # [U, H]
    item_logs = torch.from_numpy(np.log1p(training_popularity(data))).float()[items[users]]  # [U]
    owned = data.attributes[items[users], 1:].numpy()  # [U, A]
    attribute_logs = torch.from_numpy(owned / owned.sum(axis=1, keepdims=True)).float().mean(dim=0).log()  # [A]

    rng = np.random.default_rng(seed)
    values: dict[str, list[Tensor]] = {name: [] for name in OBJECTIVES}
    for _ in range(repeats):
        drawn = (owned * rng.random(owned.shape)).argmax(axis=1)  # [U] one attribute each, uniformly
        attributes = model.attribute_embeddings.weight.detach()[drawn + 1], attribute_logs[drawn]
        right = {
            "aap": attributes,
            "mip": (item_states, item_logs),
            "map": attributes,
            "sp": (left["segment"], torch.zeros(len(users))),
        }
        halves = _groups(len(users), num_candidates, rng)
        for name in OBJECTIVES:
            values[name] += _cross_fitted(left[name], *right[name], halves)

    nats = {name: torch.cat(groups) for name, groups in values.items()}
    rows = {
        name: (float(each.mean()), float(each.std() / len(each) ** 0.5), log_k_cap(num_candidates))
        for name, each in nats.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "standard_error", "cap"])
    return table.rename_axis("objective")


def _left_sides(model: S3Rec, data: SequenceData, users: np.ndarray) -> dict[str, Tensor]:
    """What the left side of each critic sees, already through its head, and the segments' states: [U, H] each."""
    ends = data.offsets[users + 1] - 1  # the validation item is the last one that is shown
    shown = torch.from_numpy(pad_left(data.items, data.offsets[users], ends, model.max_length))  # [U, L]
    masked, context = shown.clone(), shown.clone()
    masked[:, -1] = data.mask_token

    cut = ((shown != 0).sum(dim=1) // 4).clamp(min=1)  # the mean segment of pre-training
    inside = torch.arange(model.max_length) >= model.max_length - cut[:, None]  # [U, L]
    context[inside] = data.mask_token
    segment = torch.where(inside | (shown == 0), shown, data.mask_token)

    states = {
        name: _last_states(model, view)
        for name, view in {"aap": shown, "mip": masked, "sp": context, "segment": segment}.items()
    }
    states["map"] = states["mip"]
    return {name: model.heads[name](state) if name != "segment" else state for name, state in states.items()}


def _last_states(model: S3Rec, items: Tensor) -> Tensor:
    """Bidirectional state of the last position, [U, L] -> [U, H]."""
    parts = [model.encode_last(part, causal=False) for part in items.to(model.device).split(_CHUNK)]
    return torch.cat(parts).float()


def _groups(num_users: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Two disjoint sets of groups of users, each int64 [G, K]."""
    order, each = rng.permutation(num_users), num_users // (2 * size)
    return [order[start : start + each * size].reshape(each, size) for start in (0, each * size)]


def _cross_fitted(left: Tensor, right: Tensor, logs: Tensor, halves: list[np.ndarray]) -> list[Tensor]:
    """InfoNCE of each group, with the critic's scale and popularity weight fitted on the other half's groups."""
    scores = [left[half] @ right[half].transpose(1, 2) for half in halves]  # [G, K, K]
    popularity = [logs[half][:, None, :] for half in halves]  # [G, 1, K]
    values = []
    for fit, measure in ((0, 1), (1, 0)):
        scale, weight = _fit(scores[fit], popularity[fit])
        values.append(info_nce(scale * scores[measure] + weight * popularity[measure]))
    return values


def _fit(scores: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
    """The two numbers that make InfoNCE of ``scale * scores + weight * logs`` largest."""
    with torch.inference_mode(False), torch.enable_grad():
        spread = scores.std().clamp(min=1e-9)
        scores, logs = scores.clone() / spread, logs.clone()
        numbers = torch.tensor([1.0, 0.0], requires_grad=True)
        optimizer = torch.optim.LBFGS([numbers], max_iter=30, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = -info_nce(numbers[0] * scores + numbers[1] * logs).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
    return numbers.detach()[0] / spread, numbers.detach()[1]
