"""People and films of the labs: whom the slider "user" goes through, who was trained on, and short titles."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from s3rec_lite.data import SequenceData
from s3rec_lite.labs.lab import Slider
from s3rec_lite.labs.material import Material
from s3rec_lite.support.errors import DataError

_MOST_USERS = 41


def titles(data: SequenceData, items: Iterable[int], most: int = 24) -> list[str]:
    """Short titles of item ids."""
    return [short(data.title(int(item)), most) for item in items]


def short(title: str, most: int = 24) -> str:
    """A title of at most ``most`` characters; a cut one ends in an ellipsis."""
    return title if len(title) <= most else title[: most - 1].rstrip(" ,:(") + "…"


@dataclass(frozen=True)
class People:
    """Whom a lab can show."""

    users: tuple[int, ...]
    """user indices that the slider goes through"""
    seen: frozenset[int]
    """users of the whole data that training saw"""

    def slider(self, start: int = 0) -> Slider:
        """The slider that goes through them, opening on ``users[start]``."""
        return Slider("user", "User", 0, len(self.users) - 1, start)

    def words(self, user: int) -> str:
        """Whether training saw this user, in a sentence."""
        among = "" if user in self.seen else "not "
        return f"User {user} was {among}among the {len(self.seen)} people that the models were trained on."


def people(material: Material) -> People:
    """The first users that `with_context` gives, at most 41. Raises DataError if there is none."""
    data, some = material.data, material.some
    users = with_context(data)[:_MOST_USERS]
    if not users:
        raise DataError(f"{data.name}: no user has two training items, so there is nothing to show")
    trained_on = {some.sequence(user).tobytes() for user in range(some.num_users)}
    seen = (user for user in range(data.num_users) if data.sequence(user).tobytes() in trained_on)
    return People(tuple(users), frozenset(seen))


def with_context(data: SequenceData) -> list[int]:
    """Users with two training films at least, so that something can be hidden and still leave a context."""
    return np.flatnonzero(data.history_ends("train") - data.offsets[:-1] >= 2).tolist()
