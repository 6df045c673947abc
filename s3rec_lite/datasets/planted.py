"""An artificial world whose mutual information is known exactly, however large the sample."""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from s3rec_lite.data import MIN_SEQUENCE, SequenceData
from s3rec_lite.support.errors import SettingError


@dataclass(frozen=True, eq=False)
class PlantedTruth:
    """What is true of a planted world, in nats, and the world itself.

    Attributes:
        item_attribute: I(item; attribute), the item uniform and the attribute uniform among the item's own.
        item_next: I(item; next item).
        item_neighbours: I(item; both the item before and the item after it).
        item_next_attribute: I(item; one attribute, uniform, of the next item).
        successor: int64 [num_items + 1], the planted next item of each item; index 0 is unused.
        group: int64 [num_items + 1], group (from 0) of each item; index 0 is unused.
    """

    item_attribute: float
    item_next: float
    item_neighbours: float
    item_next_attribute: float
    successor: np.ndarray
    group: np.ndarray


def planted(
    num_users: int = 1000,
    num_items: int = 120,
    length: int = 20,
    num_groups: int = 12,
    attributes_per_group: int = 5,
    attributes_per_item: int = 2,
    stay: float = 0.8,
    seed: int = 0,
    num_interactions: int | None = None,
) -> SequenceData:
    """Draw sequences from the planted world; `planted_truth` with the same settings tells what is in them.

    Items fall into groups of equal size, and each group has attributes of its own. Each item has one planted
    successor, in its own group, and all items of a group follow each other in a random circle. A user starts
    at a uniformly drawn item; with probability `stay` the next item is the successor, otherwise it is drawn
    uniformly from all items (the successor included). The uniform distribution is stationary.

    Args:
        num_users: number of sequences.
        num_items: number of items; the groups must divide it.
        length: interactions of each user, at least 3.
        num_groups: number of groups.
        attributes_per_group: attributes that only items of this group can have.
        attributes_per_item: attributes of each item; spread so that every attribute is on equally many items.
        stay: probability that the next item is the planted one, 0 to 1.
        seed: the same seed gives the same world and the same sequences.
        num_interactions: if given, as many users as it takes for at least so many interactions.

    Raises:
        SettingError: if the settings do not fit each other.
    """
    world = _build_world(num_items, num_groups, attributes_per_group, attributes_per_item, stay, seed)
    if length < MIN_SEQUENCE:
        raise SettingError(f"length {length} is too short; give {MIN_SEQUENCE} or more")
    if num_interactions is not None:
        num_users = math.ceil(num_interactions / length)
    if num_users < 1:
        raise SettingError(f"num_users {num_users} is too small; give 1 or more")

    # One step of all users at a time.
    items = np.empty((num_users, length), dtype=np.int64)  # [U, L]
    items[:, 0] = world.draws.integers(1, num_items + 1, size=num_users)
    for step in range(1, length):
        follows = world.draws.random(num_users) < stay  # [U]
        anywhere = world.draws.integers(1, num_items + 1, size=num_users)  # [U]
        items[:, step] = np.where(follows, world.successor[items[:, step - 1]], anywhere)
    return SequenceData(
        name="planted",
        items=items.ravel(),
        offsets=np.arange(num_users + 1, dtype=np.int64) * length,
        attributes=world.attributes,
        attribute_tags_listed=num_items * attributes_per_item,
    )


def planted_of_size(size: str) -> SequenceData:
    """The planted world of a size such as "500000x1000000": users and items; its name says the size.

    Raises:
        SettingError: if that is no size, or the items cannot share groups and attributes evenly.
    """
    match = re.fullmatch("([0-9]{1,9})x([0-9]{1,9})", size)
    if not match or int(match[2]) % 5 or not int(match[2]):
        raise SettingError(f"planted:{size}: give users and items as planted:2000x600, the items a multiple of 5")
    num_users, num_items = int(match[1]), int(match[2])
    num_groups = max(groups for groups in range(1, 13) if num_items % (5 * groups) == 0)
    data = planted(num_users, num_items, num_groups=num_groups)
    return dataclasses.replace(data, name=f"planted-{size}")


def planted_truth(
    num_items: int = 120,
    num_groups: int = 12,
    attributes_per_group: int = 5,
    attributes_per_item: int = 2,
    stay: float = 0.8,
    seed: int = 0,
) -> PlantedTruth:
    """Exact mutual information, in nats, of the world that `planted` draws from with the same settings.

    Every marginal is uniform by design, so each value is log(number of outcomes) minus the entropy of one
    row.

    Raises:
        SettingError: if the settings do not fit each other.
    """
    world = _build_world(num_items, num_groups, attributes_per_group, attributes_per_item, stay, seed)
    num_attributes = num_groups * attributes_per_group
    step = _row_entropy(num_items, 1, stay)
    # Two steps give the successor's successor with probability stay**2 and any item uniformly otherwise.
    two_steps = _row_entropy(num_items, 1, stay**2)
    return PlantedTruth(
        item_attribute=math.log(num_attributes / attributes_per_item),
        item_next=math.log(num_items) - step,
        # H(item, before, after) = log N + 2 H(step) and H(before, after) = log N + H(two steps).
        item_neighbours=math.log(num_items) + two_steps - 2 * step,
        item_next_attribute=math.log(num_attributes) - _row_entropy(num_attributes, attributes_per_item, stay),
        successor=world.successor,
        group=world.group,
    )


class _World(NamedTuple):
    successor: np.ndarray  # int64 [num_items + 1]
    group: np.ndarray  # int64 [num_items + 1]
    attributes: torch.Tensor  # bool [num_items + 2, num_attributes + 1]
    draws: np.random.Generator  # for the sequences; the world has its own, so that their number leaves it alone


def _build_world(num_items: int, num_groups: int, per_group: int, per_item: int, stay: float, seed: int) -> _World:
    for label, value in (
        ("num_items", num_items),
        ("num_groups", num_groups),
        ("attributes_per_group", per_group),
        ("attributes_per_item", per_item),
    ):
        if value < 1:
            raise SettingError(f"{label} {value} is too small; give 1 or more")
    if num_items % num_groups:
        raise SettingError(f"num_groups {num_groups} does not divide num_items {num_items}; change one of them")
    if per_item > per_group:
        raise SettingError(
            f"attributes_per_item {per_item} is above attributes_per_group {per_group}; an item has only "
            "attributes of its own group, so lower it"
        )
    size = num_items // num_groups
    if size * per_item % per_group:
        raise SettingError(
            f"{size} items with {per_item} attributes each cannot share {per_group} "
            "attributes evenly; make attributes_per_group a divisor of their product"
        )
    if not 0 <= stay <= 1:
        raise SettingError(f"stay {stay} is not a probability; give 0 to 1")

    # Items of each group in the order of its circle. A random permutation: neither a neighbour's id nor the group can
    # be read off an item's id.
    building, draws = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    members = (building.permutation(num_items) + 1).reshape(num_groups, size)  # [num_groups, size]
    successor, group = np.zeros(num_items + 1, dtype=np.int64), np.full(num_items + 1, -1, dtype=np.int64)
    successor[members] = np.roll(members, -1, axis=1)
    group[members] = np.arange(num_groups)[:, None]

    # Blocks of attributes laid end to end around those of the group: each is used equally often.
    within = (np.arange(size)[:, None] * per_item + np.arange(per_item)) % per_group  # [size, per_item]
    ids = 1 + np.arange(num_groups)[:, None, None] * per_group + within  # [num_groups, size, per_item]
    attributes = torch.zeros(num_items + 2, 1 + num_groups * per_group, dtype=torch.bool)
    attributes.numpy()[members[:, :, None], ids] = True
    return _World(successor, group, attributes, draws)


def _row_entropy(outcomes: int, favoured: int, weight: float) -> float:
    """Entropy in nats of: `weight` shared by `favoured` outcomes, the rest spread over all `outcomes`."""
    rest = (1 - weight) / outcomes
    high = weight / favoured + rest
    terms = ((favoured, high), (outcomes - favoured, rest))
    return -sum(count * p * math.log(p) for count, p in terms if count and p > 0)
