"""People and films of the labs: whom the slider "user" goes through, what they watched last, and short titles."""

import html
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.datasets import SequenceData
from s3rec_lite.labs.material import Material
from s3rec_lite.labs.view import Slider
from s3rec_lite.support.errors import DataError

MOST_USERS = 41


def short(title: str, most: int = 24) -> str:
    """A title of at most ``most`` characters; a cut one ends in an ellipsis."""
    return title if len(title) <= most else title[: most - 1].rstrip(" ,:(") + "…"


def titles(data: SequenceData, items: np.ndarray, most: int = 24) -> list[str]:
    """Short titles of item ids."""
    return [short(data.title(int(item)), most) for item in items]


def escaped(text: str) -> str:
    """Text for HTML."""
    return html.escape(text)


@dataclass(frozen=True)
class People:
    """Whom a lab can show."""

    users: tuple[int, ...]
    """user indices that the slider goes through"""
    seen: frozenset[int]
    """users of the whole data that training saw"""

    def slider(self, start: int = 0) -> Slider:
        """The slider that goes through them, from the one at place ``start`` on."""
        return Slider("user", "User", 0, len(self.users) - 1, start)

    def words(self, user: int) -> str:
        """Whether training saw this user, in a sentence."""
        among = "" if user in self.seen else "not "
        return f"User {user} was {among}among the {len(self.seen)} people that the models were trained on."


def people(material: Material) -> People:
    """The first users with at least two training films, at most 41 of them.

    Raises DataError where there is none: nothing could be hidden and still leave a context.
    """
    data, some = material.data, material.some
    users = np.flatnonzero(data.history_ends("train") - data.offsets[:-1] >= 2)[:MOST_USERS].tolist()
    if not users:
        raise DataError(f"{data.name}: no user has two training items, so there is nothing to show")
    trained_on = {some.sequence(user).tobytes() for user in range(some.num_users)}
    seen = (user for user in range(data.num_users) if data.sequence(user).tobytes() in trained_on)
    return People(tuple(users), frozenset(seen))


def newest(data: SequenceData, user: int, most: int) -> np.ndarray:
    """The last training films of a user, oldest first: int64 [at most ``most``]."""
    return data.history(user, "train")[-most:]


def one(items: np.ndarray) -> Tensor:
    """One sequence as a batch: [L] -> int64 [1, L]."""
    return torch.from_numpy(np.ascontiguousarray(items))[None]
