"""What the lab "segments" computes: a segment, a foreign one of the same length, and what models say to both."""

from dataclasses import dataclass

import numpy as np
import torch

from s3rec_lite.data import SequenceData, training_mask, user_of_interaction
from s3rec_lite.labs.films import people, with_context
from s3rec_lite.labs.material import STAGES, Material
from s3rec_lite.model import S3Rec
from s3rec_lite.negatives import SegmentSource

RULES = {"clean": "clean: one other user's training films", "leaky": "leaky: all sequences laid end to end"}
LONGEST = 10  # half of the 20 films that the labs' models take
_GROUP = 25  # people of each kind whose losses are averaged


@dataclass(frozen=True, eq=False)
class Cut:
    """One sequence [L], the segment in it and the foreign one."""

    user: int
    items: np.ndarray
    first: int
    """column of the segment's first film, from 0"""
    length: int
    foreign: np.ndarray
    """int64 [length], indices into ``data.items``"""

    @property
    def segment(self) -> slice:
        """The columns of the segment."""
        return slice(self.first, self.first + self.length)

    def views(self, data: SequenceData) -> np.ndarray:
        """Context, positive and negative: int64 [3, L]."""
        views = np.full((3, len(self.items)), data.mask_token, dtype=np.int64)
        views[0] = self.items
        views[0, self.segment] = data.mask_token
        views[1, self.segment] = self.items[self.segment]
        views[2, self.segment] = data.items[self.foreign]
        return views


class Prepared:
    """What is computed once."""

    def __init__(self, material: Material):
        self.data, self.who = material.data, people(material)
        self.models = {stage: material.models[stage] for stage in STAGES}
        self.most = material.models[STAGES[0]].max_length
        """films of a sequence that the models take"""
        enough, seen = with_context(self.data), self.who.seen
        self.groups = {
            "seen": [user for user in enough if user in seen][:_GROUP],
            "new": [user for user in enough if user not in seen][:_GROUP],
        }
        """user indices whose mean loss is shown: people that training saw, and others"""
        self.owners = user_of_interaction(self.data)  # [num_interactions]
        self.held_out = ~training_mask(self.data)  # [num_interactions], somebody's validation or test film
        self._sources = {rule: SegmentSource(self.data, rule) for rule in RULES}

    def cut_out(self, length: int, start: int, user: int, rule: str) -> Cut:
        """The segment of ``length`` films from the ``start``-th (1 is the oldest) on, and a foreign one of that length.

        A segment has at most half the films, as in pre-training, and ends with the sequence at the latest; settings
        beyond that are drawn back. The foreign one is drawn from a seed made of user, first film and length.
        """
        items = self.data.history(user, "train")[-self.most :]
        length = min(length, len(items) // 2)
        first = min(start - 1, len(items) - length)
        row, rng = items[None], np.random.default_rng([user, first, length])
        begin = self._sources[rule].start(np.array([length]), np.array([user]), row, row > 0, rng)[1]
        return Cut(user, items, first, length, int(begin[0]) + np.arange(length))

    def leaky_example(self) -> dict[str, int]:
        """Settings whose leaky slice holds a held-out film among others, shortest first; empty if there is none."""
        for length in range(2, LONGEST + 1):
            for index, user in enumerate(self.who.users):
                for start in range(1, self.most - length + 2):
                    cut = self.cut_out(length, start, user, "leaky")
                    exact = cut.length == length and cut.first == start - 1
                    if exact and self.held_out[cut.foreign].any():
                        return {"length": length, "start": start, "user": index}
        return {}


def stack(cuts: list[Cut], data: SequenceData) -> np.ndarray:
    """The inputs of several cuts, padded on the left to one width: int64 [U, 3, L]."""
    views = np.zeros((len(cuts), 3, max(len(cut.items) for cut in cuts)), dtype=np.int64)
    for row, cut in zip(views, cuts, strict=True):
        row[:, -len(cut.items) :] = cut.views(data)
    return views


def scores(model: S3Rec, views: np.ndarray) -> np.ndarray:
    """Bilinear scores of positive and negative with the context, equation (16): int64 [U, 3, L] -> float [U, 2].

    Each input is represented by the state of its last position.
    """
    with model.evaluating():
        states = model.encode_last(torch.from_numpy(views).flatten(0, 1), causal=False)  # [3 U, H]
        context, *segments = states.unflatten(0, (len(views), 3)).unbind(1)  # [U, H] each
        context = model.heads["sp"](context)
        return torch.stack([(context * segment).sum(dim=1) for segment in segments], dim=1).double().numpy()


def pair_losses(pairs: np.ndarray) -> np.ndarray:
    """Pairwise losses in nats, -log sigmoid(positive - negative): [U, 2] -> [U]."""
    return np.logaddexp(0.0, pairs[:, 1] - pairs[:, 0])


def share_with_held_out(held_out: np.ndarray, length: int) -> float:
    """Share of all slices of ``length`` interactions that hold a held-out one."""
    return float(np.lib.stride_tricks.sliding_window_view(held_out, length).any(axis=1).mean())
