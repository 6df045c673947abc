"""The numbers that describe a data set: sizes, repeats, cold items and pre-training samples."""

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData, user_of_interaction


def statistics(data: SequenceData, max_length: int = 50) -> dict[str, float]:
    """Describe a data set; users are counted in all rows that start with users_ or hold _item_/_items_.

    The positive share is the mean over items of (distinct attributes of the item) / (num_attributes + 1), in
    per cent: every item counts once and column 0, which no item has, counts as a target, as in the authors'
    multi-hot rows. Prefixes follow the authors' rule: each prefix of the last `max_length` training items is
    one sample.

    Args:
        data: the data set.
        max_length: number of training items that pre-training looks at.

    Returns:
        dict of ints and floats; attributes_per_item_listed is NaN if the source did not list tags.
    """
    users, items, actions, lengths = data.num_users, data.num_items, data.num_interactions, data.lengths
    listed = data.attribute_tags_listed
    per_item = data.attributes[1:-1].sum(dim=1).numpy()  # [num_items]
    seen = data.seen_in_training()  # [num_items + 2]
    repeated = pd.DataFrame({"user": user_of_interaction(data), "item": data.items}).duplicated()
    longest = np.minimum(lengths - 2, max_length)  # [num_users], prefixes of lengths 1..longest
    prefixes = int(longest.sum())
    return {
        # sizes
        "users": users,
        "items": items,
        "actions": actions,
        "actions_per_user": actions / users,
        "actions_per_item": actions / items,
        "sparsity_percent": 100 * (1 - actions / (users * items)),
        # attributes
        "attributes": data.num_attributes,
        "attributes_per_item_listed": float("nan") if listed is None else listed / items,
        "attributes_per_item_distinct": float(per_item.mean()),
        "items_with_no_attribute": int((per_item == 0).sum()),
        "positive_share_of_attribute_target_percent": 100 * float(per_item.mean()) / (data.num_attributes + 1),
        # sequences
        "longest_sequence": int(lengths.max()),
        "shortest_sequence": int(lengths.min()),
        "users_with_exactly_5_actions": int((lengths == 5).sum()),
        "users_longer_than_max_length": int((lengths - 2 > max_length).sum()),
        "users_with_a_repeated_item": len(np.unique(user_of_interaction(data)[repeated])),
        "test_item_already_in_history": int(target_in_history(data, "test").sum()),
        "valid_item_already_in_history": int(target_in_history(data, "valid").sum()),
        "test_items_never_in_training": int((~seen[data.targets("test")]).sum()),
        "valid_items_never_in_training": int((~seen[data.targets("valid")]).sum()),
        # pre-training samples
        "pretraining_prefixes": prefixes,
        "mean_prefix_length": float((longest * (longest + 1)).sum() / 2 / prefixes),
        "share_of_prefixes_of_length_1": users / prefixes,
    }


def target_in_history(data: SequenceData, split: str) -> np.ndarray:
    """Whether the held-out item of each user is in the history before it, bool [num_users].

    Such a target can never be found when items that were seen are taken out of the ranking.
    """
    user = user_of_interaction(data)  # [num_interactions]
    before = np.arange(data.num_interactions) < data.history_ends(split)[user]
    same = before & (data.items == data.targets(split)[user])
    return np.bincount(user[same], minlength=data.num_users) > 0
