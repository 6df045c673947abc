"""All of S³-Rec in one file: the plain form, for reading. Start here.

One sample is built at a time, every operation has a line of its own, and nothing is clever. Sequences are padded to
the full length, attributes are rows of zeros and ones, the encoder runs four times, and every position is scored:
what does not count is multiplied by 0. The losses are those of the authors' code. The rest of the package computes
the same, faster and with switches; its functions name their twin here, and the tests compare the two.

B: sequences of a batch. L: max_length. H: hidden_size. A: attributes.
"""

import math
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.data import SequenceData

# --- views: what the four objectives see of a sequence ----------------------------------------------------------


def pad(ids: list[int], length: int) -> list[int]:
    """Zeros on the left: the newest item always stands last."""
    return [0] * (length - len(ids)) + ids


def negative_item(seen: set[int], mask_token: int, rng: Random) -> int:
    """An id that is not in the sequence. As in the authors' code it may be the mask token's."""
    while True:
        item = rng.randint(1, mask_token)
        if item not in seen:
            return item


def masked_views(prefix: list[int], mask_ratio: float, mask_token: int, rng: Random) -> tuple[list[int], list[int]]:
    """The prefix with some items masked, the last one always; and with a negative item at each mask."""
    seen = set(prefix)
    masked, negatives = [], []
    for position, item in enumerate(prefix):
        if position == len(prefix) - 1 or rng.random() < mask_ratio:
            masked.append(mask_token)
            negatives.append(negative_item(seen, mask_token, rng))
        else:
            masked.append(item)
            negatives.append(item)
    return masked, negatives


def segment_views(prefix: list[int], all_items: list[int], mask_token: int, rng: Random) -> tuple[list[int], ...]:
    """The prefix with a segment hidden; the segment alone; a foreign segment in the same place."""
    if len(prefix) < 2:
        return list(prefix), list(prefix), list(prefix)
    size = rng.randint(1, len(prefix) // 2)
    start = rng.randint(0, len(prefix) - size)
    end = start + size
    elsewhere = rng.randint(0, len(all_items) - size)
    before = [mask_token] * start
    after = [mask_token] * (len(prefix) - end)
    context = prefix[:start] + [mask_token] * size + prefix[end:]
    positive = before + prefix[start:end] + after
    negative = before + all_items[elsewhere : elsewhere + size] + after
    return context, positive, negative


class PlainSamples:
    """Pre-training samples: every prefix of the last ``max_length`` training items of every user."""

    def __init__(self, data: SequenceData, max_length: int, mask_ratio: float = 0.2):
        self.max_length, self.mask_ratio, self.mask_token = max_length, mask_ratio, data.num_items + 1
        self.num_columns = data.attributes.shape[1]
        self.item_attributes: dict[int, list[int]] = {0: []}
        for item in range(1, data.num_items + 1):
            self.item_attributes[item] = data.attributes[item].nonzero().flatten().tolist()
        self.prefixes: list[list[int]] = []
        self.all_items: list[int] = []
        for user in range(data.num_users):
            sequence = data.sequence(user).tolist()
            self.all_items.extend(sequence)
            training = sequence[:-2][-max_length:]  # the last two items are for validation and test
            for end in range(1, len(training) + 1):
                self.prefixes.append(training[:end])

    def sample(self, index: int, rng: Random) -> list[list[int]]:
        """Six views of one prefix, each of ``max_length`` ids."""
        prefix = self.prefixes[index]
        masked, negatives = masked_views(prefix, self.mask_ratio, self.mask_token, rng)
        context, positive, negative = segment_views(prefix, self.all_items, self.mask_token, rng)
        return [pad(view, self.max_length) for view in (masked, prefix, negatives, context, positive, negative)]

    def attributes(self, items: list[int]) -> list[list[int]]:
        """A row of zeros and ones for each item: [L][A + 1]."""
        rows = []
        for item in items:
            row = [0] * self.num_columns
            for attribute in self.item_attributes[item]:
                row[attribute] = 1
            rows.append(row)
        return rows

    def batch(self, indices: list[int], rng: Random) -> tuple[list[Tensor], Tensor]:
        """Six id tensors [B, L], and the attributes of every item, [B, L, A + 1]."""
        samples = [self.sample(index, rng) for index in indices]
        views = [torch.tensor([sample[view] for sample in samples]) for view in range(6)]
        return views, torch.tensor([self.attributes(sample[1]) for sample in samples])


# --- encoder ----------------------------------------------------------------------------------------------------


def encode(model: Any, items: Tensor, causal: bool = False, training: bool = False) -> Tensor:
    """The states of every position, equations (4) to (8): [B, L] -> [B, L, H]."""
    config, length = model.config, items.shape[1]
    norm, eps = (config.hidden_size,), config.layer_norm_eps
    head_size = config.hidden_size // config.n_heads

    # Who may look at whom: nobody at padding, and with causal nobody at the future.
    allowed = (items > 0)[:, None, None, :].expand(-1, 1, length, -1)  # [B, 1, L, L]
    if causal:
        allowed = allowed & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.where(allowed, 0.0, -1e8)

    # Item plus position. A shorter batch takes the last positions.
    positions = model.position_embeddings.weight[config.max_length - length :]
    x = model.item_embeddings(items) + positions  # [B, L, H]
    x = F.layer_norm(x, norm, model.layer_norm.weight, model.layer_norm.bias, eps)
    x = F.dropout(x, config.hidden_dropout_prob, training)

    for block in model.blocks:
        # Attention: each position collects from those that it may look at.
        attention = block.attention
        projected = attention.query_key_value(x)  # [B, L, 3H]
        heads = projected.view(*x.shape[:2], 3 * config.n_heads, head_size).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=1)  # [B, heads, L, H / heads] each
        scores = query @ key.transpose(-1, -2) / math.sqrt(head_size) + mask  # [B, heads, L, L]
        probabilities = F.softmax(scores, dim=-1)
        probabilities = F.dropout(probabilities, config.attn_dropout_prob, training)
        context = (probabilities @ value).transpose(1, 2).reshape(x.shape)
        out = F.dropout(attention.output(context), config.hidden_dropout_prob, training)
        x = F.layer_norm(out + x, norm, attention.layer_norm.weight, attention.layer_norm.bias, eps)

        # Feed-forward: each position by itself.
        network = block.feed_forward
        inner = network.activation(network.inner(x))
        out = F.dropout(network.output(inner), config.hidden_dropout_prob, training)
        x = F.layer_norm(out + x, norm, network.layer_norm.weight, network.layer_norm.bias, eps)
    return x


# --- the four objectives: sums over a batch, in nats ------------------------------------------------------------


def aap(model: Any, states: Tensor, masked_items: Tensor, attributes: Tensor) -> Tensor:
    """Associated attributes: does the state of an item that is not masked know the item's attributes?"""
    known = (masked_items != model.mask_token) & (masked_items != 0)  # [B, L]
    scores = model.heads["aap"](states) @ model.attribute_embeddings.weight.T  # [B, L, A + 1]
    losses = F.binary_cross_entropy(torch.sigmoid(scores), attributes, reduction="none")
    return (losses * known[:, :, None]).sum()


def mip(model: Any, states: Tensor, masked_items: Tensor, pos_items: Tensor, neg_items: Tensor) -> Tensor:
    """Masked items: does the state of a mask fit the item behind it better than another item?"""
    masked = masked_items == model.mask_token  # [B, L]
    context = model.heads["mip"](states)  # [B, L, H]
    positive = torch.sigmoid((context * model.item_embeddings(pos_items)).sum(-1))
    negative = torch.sigmoid((context * model.item_embeddings(neg_items)).sum(-1))
    losses = -torch.log(torch.sigmoid(positive - negative))
    return (losses * masked).sum()


def map_(model: Any, states: Tensor, masked_items: Tensor, attributes: Tensor) -> Tensor:
    """Masked attributes: does the state of a mask know the attributes of the item behind it?"""
    masked = masked_items == model.mask_token  # [B, L]
    scores = model.heads["map"](states) @ model.attribute_embeddings.weight.T  # [B, L, A + 1]
    losses = F.binary_cross_entropy(torch.sigmoid(scores), attributes, reduction="none")
    return (losses * masked[:, :, None]).sum()


def sp(model: Any, context: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Segments: does the state of the context fit its own segment better than a foreign one? States are [B, H]."""
    context = model.heads["sp"](context)
    own = torch.sigmoid((context * positive).sum(-1))  # [B]
    foreign = torch.sigmoid((context * negative).sum(-1))
    return -torch.log(torch.sigmoid(own - foreign)).sum()


def pretraining_losses(
    model: Any, views: list[Tensor], attributes: Tensor, training: bool = False
) -> dict[str, Tensor]:
    """The four losses of one batch."""
    masked_items, pos_items, neg_items, context, pos_segment, neg_segment = views
    states = encode(model, masked_items, training=training)  # [B, L, H]
    newest = [encode(model, view, training=training)[:, -1] for view in (context, pos_segment, neg_segment)]
    targets = attributes.to(states.dtype)
    return {
        "aap": aap(model, states, masked_items, targets),
        "mip": mip(model, states, masked_items, pos_items, neg_items),
        "map": map_(model, states, masked_items, targets),
        "sp": sp(model, *newest),
    }


def joint_loss(losses: dict[str, Tensor]) -> Tensor:
    """The weighted sum that pre-training minimises, with the authors' weights."""
    return 0.2 * losses["aap"] + 1.0 * losses["mip"] + 1.0 * losses["map"] + 0.5 * losses["sp"]


class PlainTrainer:
    """Pre-trains a model with the plain step."""

    def __init__(self, model: Any, data: SequenceData, batch_size: int = 100, seed: int = 42):
        self.model, self.batch_size = model, batch_size
        self.samples = PlainSamples(data, model.config.max_length)
        self.rng = Random(seed)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

    def step(self) -> int:
        """Train on one random batch; the number of its sequences."""
        indices = [self.rng.randrange(len(self.samples.prefixes)) for _ in range(self.batch_size)]
        views, attributes = self.samples.batch(indices, self.rng)
        loss = joint_loss(pretraining_losses(self.model, views, attributes, training=True))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return self.batch_size


# --- fine-tuning and evaluation ---------------------------------------------------------------------------------


def next_item_loss(model: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    """Softmax over all items at each position that has a target, summed, in nats; inputs and targets [B, L]."""
    states = encode(model, inputs, causal=True)  # [B, L, H]
    scores = states @ model.item_embeddings.weight[1:-1].T  # [B, L, items]: no padding, no mask token
    total = torch.zeros(())
    for row, position in (targets != 0).nonzero().tolist():
        log_probabilities = F.log_softmax(scores[row, position], dim=0)
        total = total - log_probabilities[targets[row, position] - 1]
    return total


def rank(scores: list[float], target: int, seen: set[int]) -> int:
    """Where the target stands, from 1, among all items but those already seen; ``scores`` of items start at 1."""
    better = 0
    for item in range(1, len(scores) - 1):  # 0 is padding, the last id the mask token
        if item not in seen and item != target and scores[item] > scores[target]:
            better += 1
    return better + 1


def hit_rate(ranks: list[int], k: int) -> float:
    """HR@k: the share of users whose target is among the first k."""
    return sum(rank <= k for rank in ranks) / len(ranks)


def ndcg(ranks: list[int], k: int) -> float:
    """NDCG@k: a hit counts less the further down it stands."""
    gains = [1 / math.log2(rank + 1) if rank <= k else 0.0 for rank in ranks]
    return sum(gains) / len(gains)
