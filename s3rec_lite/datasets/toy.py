"""A hand-written data set, small enough to follow every number: 3 users, 6 items, 4 attributes."""

import numpy as np
import torch

from s3rec_lite.data import SequenceData

_TITLES = (
    "A Cat on Mars",
    "The Missing Spoon",
    "Two Penguins in Love",
    "Night Train to Nowhere",
    "The Robot's Secret",
    "Who Stole the Moon?",
)
_ATTRIBUTES = ("animals", "comedy", "mystery", "space")
_ATTRIBUTES_OF_ITEM = {1: (1, 4), 2: (2, 3), 3: (1, 2), 4: (3,), 5: (3, 4), 6: (2, 3, 4)}
_SEQUENCES = {
    "Ada": (6, 4, 1, 5, 3),
    "Ben": (3, 5, 6, 3, 1, 2),  # Ben and Cleo each watch a film twice
    "Cleo": (2, 4, 2, 3, 4, 6, 1),
}


def toy() -> SequenceData:
    """Three people and the made-up films they watched.

    Every number of the example differs, so that a shape says what it counts: 3 users, 6 items, 4 attributes
    and histories of 5, 6 and 7 films. Every film is in somebody's training part, no held-out film was seen
    by its user before, and each user leaves at least one film unseen, so that there is always a negative to
    draw.
    """
    sequences = list(_SEQUENCES.values())
    attributes = torch.zeros(len(_TITLES) + 2, len(_ATTRIBUTES) + 1, dtype=torch.bool)
    for item, owned in _ATTRIBUTES_OF_ITEM.items():
        attributes[item, list(owned)] = True
    return SequenceData(
        name="toy",
        items=np.concatenate(sequences).astype(np.int64),
        offsets=np.cumsum([0, *map(len, sequences)]).astype(np.int64),
        attributes=attributes,
        user_tokens=tuple(_SEQUENCES),
        item_titles=_TITLES,
        attribute_names=_ATTRIBUTES,
        attribute_tags_listed=int(attributes.sum()),
    )
