"""The numbers that describe a data set: sizes, repeats, cold items and pre-training samples."""

from __future__ import annotations

import numpy as np

from s3rec_lite.data import SequenceData, user_of_interaction


def statistics(data: SequenceData, max_length: int = 50) -> dict[str, float]:
    """Describe a data set; users are counted in all rows that start with users_ or hold _item_/_items_.

    The positive share is the mean over items of (distinct attributes of the item) / (num_attributes + 1), in
    per
    cent: every item counts once and column 0, which no item has, counts as a target, as in the authors'
    multi-hot rows. Prefixes follow the authors' rule: each prefix of the last `max_length` training items is
    one sample.

    Args:
        data: the data set.
        max_length: number of training items that pre-training looks at.

    Returns:
        dict of ints and floats; attributes_per_item_listed is NaN if the source did not list tags.
    """
    return {
        **_sizes(data),
        **_attribute_numbers(data),
        **_sequence_numbers(data, max_length),
        **_prefixes(data, max_length),
    }


def _sizes(data: SequenceData) -> dict[str, float]:
    cells = data.num_users * data.num_items
    return {
        "users": data.num_users,
        "items": data.num_items,
        "actions": data.num_interactions,
        "actions_per_user": data.num_interactions / data.num_users,
        "actions_per_item": data.num_interactions / data.num_items,
        "sparsity_percent": 100 * (1 - data.num_interactions / cells),
    }


def _attribute_numbers(data: SequenceData) -> dict[str, float]:
    per_item = data.attributes[1:-1].sum(dim=1).numpy()  # [num_items]
    listed = data.attribute_tags_listed
    return {
        "attributes": data.num_attributes,
        "attributes_per_item_listed": float("nan") if listed is None else listed / data.num_items,
        "attributes_per_item_distinct": float(per_item.mean()),
        "items_with_no_attribute": int((per_item == 0).sum()),
        "positive_share_of_attribute_target_percent": 100 * float(per_item.mean()) / (data.num_attributes + 1),
    }


def _sequence_numbers(data: SequenceData, max_length: int) -> dict[str, float]:
    lengths, seen = data.lengths, data.seen_in_training()
    return {
        "longest_sequence": int(lengths.max()),
        "shortest_sequence": int(lengths.min()),
        "users_with_exactly_5_actions": int((lengths == 5).sum()),
        "users_longer_than_max_length": int((lengths - 2 > max_length).sum()),
        "users_with_a_repeated_item": _users_with_repeats(data),
        "test_item_already_in_history": int(target_in_history(data, "test").sum()),
        "valid_item_already_in_history": int(target_in_history(data, "valid").sum()),
        "test_items_never_in_training": int((~seen[data.targets("test")]).sum()),
        "valid_items_never_in_training": int((~seen[data.targets("valid")]).sum()),
    }


def _users_with_repeats(data: SequenceData) -> int:
    pair = np.sort(user_of_interaction(data) * np.int64(data.num_items + 1) + data.items)  # [num_interactions]
    repeated = pair[1:][pair[1:] == pair[:-1]]
    return len(np.unique(repeated // (data.num_items + 1)))


def target_in_history(data: SequenceData, split: str) -> np.ndarray:
    """Whether the held-out item of each user is in the history before it, bool [num_users].

    Such a target can never be found when items that were seen are taken out of the ranking.
    """
    user = user_of_interaction(data)  # [num_interactions]
    before = np.arange(data.num_interactions) < data.history_ends(split)[user]
    same = before & (data.items == data.targets(split)[user])
    return np.bincount(user[same], minlength=data.num_users) > 0


def _prefixes(data: SequenceData, max_length: int) -> dict[str, float]:
    longest = np.minimum(data.lengths - 2, max_length)  # [num_users], prefixes of lengths 1..longest
    count = int(longest.sum())
    return {
        "pretraining_prefixes": count,
        "mean_prefix_length": float((longest * (longest + 1)).sum() / 2 / count),
        "share_of_prefixes_of_length_1": data.num_users / count,
    }
