"""Fine-tuning samples and losses: the causal encoder learns to rank the next item (section 4.4)."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.data import SequenceData, pad_left
from s3rec_lite.model import S3Rec
from s3rec_lite.negatives import NegativeItems
from s3rec_lite.support.config import FinetuneConfig
from s3rec_lite.support.errors import DataError
from s3rec_lite.views import list_prefixes

CHUNK_ROWS = 64


class NextItemSamples:
    """Inputs and targets of fine-tuning.

    "sequences": one sample a user, the training items but the last, with the following item as target everywhere.
    "prefixes": one sample for each training target, with a target at the newest position only.
    """

    def __init__(self, data: SequenceData, config: FinetuneConfig, max_length: int):
        self.items, self.max_length = data.items, max_length
        starts, ends = data.offsets[:-1], data.history_ends("train")  # training items of each user
        if config.samples == "sequences":
            users = np.flatnonzero(ends - starts >= 2)
            self.ends = ends[users] - 1
        else:
            users, _, self.ends = list_prefixes(data, max_length, "recbole")
        if not len(users):
            raise DataError(f"{data.name}: no user has two training items (four interactions): nothing to fine-tune on")
        self.users = users
        self.starts = np.maximum(starts[users], self.ends - max_length)
        self.last_only = config.samples == "prefixes"
        self.negatives = None
        if config.loss != "ce":
            self.negatives = NegativeItems(data, config.negative_items, config.negatives_avoid)

    def __len__(self) -> int:
        return len(self.users)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs, targets and negatives [B, L], padded on the left with 0; negatives are None for "ce"."""
        starts, ends = self.starts[indices], self.ends[indices]
        width = int((ends - starts).max())
        inputs = pad_left(self.items, starts, ends, width)  # [B, L]
        targets = pad_left(self.items, starts + 1, ends + 1, width)
        if self.last_only:
            targets[:, :-1] = 0
        negatives = None
        if self.negatives is not None:
            negatives = np.zeros_like(targets)
            rows, columns = np.nonzero(targets)
            negatives[rows, columns] = self.negatives.draw(self.users[indices][rows], rng)
            negatives = torch.from_numpy(negatives)
        return torch.from_numpy(inputs), torch.from_numpy(targets), negatives

    def chunks(self, indices: np.ndarray) -> Iterator[np.ndarray]:
        """Split a batch into runs of like length: the same sums with far less padding."""
        order = indices[np.argsort((self.ends - self.starts)[indices], kind="stable")]
        for i in range(0, len(order), CHUNK_ROWS):
            yield order[i : i + CHUNK_ROWS]

    def num_targets(self, indices: np.ndarray) -> int:
        """Positions with a target in a batch."""
        return len(indices) if self.last_only else int((self.ends - self.starts)[indices].sum())


def next_item_loss(
    model: S3Rec,
    inputs: Tensor,
    targets: Tensor,
    negatives: Tensor | None,
    config: FinetuneConfig,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """The sum of the loss over all positions with a target, in nats; inputs, targets, negatives [B, L].

    Divide by the number of targets for the mean that is minimised.
    """
    inputs, targets = inputs.long(), targets.long()
    if config.samples == "prefixes":
        hidden, wanted = model.encode_last(inputs, causal=True, rng=rng), targets[:, -1]  # [B, H]
        negatives = negatives[:, -1] if negatives is not None else None
    else:
        places = targets.flatten().nonzero().squeeze(1)
        hidden = model.encode(inputs, causal=True, rng=rng).flatten(0, 1)[places]  # [N, H]
        wanted = targets.flatten()[places]
        negatives = negatives.flatten()[places] if negatives is not None else None
    if config.loss == "ce":
        first, last = (0, None) if config.special_candidates else (1, model.num_items + 1)
        scores = hidden @ model.item_embeddings.weight[first:last].T  # [N, candidates]
        return F.cross_entropy(scores.float(), wanted - first, reduction="sum")
    positive = (hidden * model.item_embeddings(wanted)).sum(dim=-1)
    negative = (hidden * model.item_embeddings(negatives.long())).sum(dim=-1)
    if config.loss == "bpr":
        return -F.logsigmoid(positive - negative).sum()
    if config.clamped_logs:
        tiny = 1e-24
        return -(torch.log(torch.sigmoid(positive) + tiny) + torch.log(1 - torch.sigmoid(negative) + tiny)).sum()
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative)).sum()
