"""A plain pre-training step, written from the paper and for reading, not for speed.

One sample is built at a time with Python loops, padded to ``max_length``; attributes are multi-hot rows; the encoder
runs four times over the whole width; every position is scored and what does not count is multiplied by 0. It is the
oracle of the parity tests and the baseline of ``s3rec-lite bench --against reference``. It shares nothing with the
package but the weights of a model.
"""

import math
import random

import torch
from torch import Tensor
from torch.nn import functional as F


def pad(ids: list[int], length: int) -> list[int]:
    return [0] * (length - len(ids)) + ids


class ReferenceSamples:
    """Pre-training samples by the authors' rules: every prefix of the last ``max_length`` training items."""

    def __init__(self, data, max_length: int, mask_ratio: float = 0.2):
        self.max_length, self.mask_ratio, self.mask_token = max_length, mask_ratio, data.num_items + 1
        self.num_columns = data.attributes.shape[1]
        self.item_attributes = {
            item: data.attributes[item].nonzero().flatten().tolist() for item in range(1, data.num_items + 1)
        }
        self.prefixes = []
        self.all_items: list[int] = []
        for user in range(data.num_users):
            sequence = data.sequence(user).tolist()
            self.all_items.extend(sequence)
            training = sequence[:-2][-max_length:]
            self.prefixes.extend(training[: i + 1] for i in range(len(training)))

    def negative_item(self, prefix: set[int], rng: random.Random) -> int:
        while True:
            item = rng.randint(1, self.mask_token)
            if item not in prefix:
                return item

    def sample(self, index: int, rng: random.Random) -> dict[str, list]:
        prefix = self.prefixes[index]
        seen = set(prefix)
        masked, negatives = [], []
        for place, item in enumerate(prefix):
            if place == len(prefix) - 1 or rng.random() < self.mask_ratio:
                masked.append(self.mask_token)
                negatives.append(self.negative_item(seen, rng))
            else:
                masked.append(item)
                negatives.append(item)
        if len(prefix) < 2:
            context, positive, negative = list(prefix), list(prefix), list(prefix)
        else:
            size = rng.randint(1, len(prefix) // 2)
            start = rng.randint(0, len(prefix) - size)
            elsewhere = rng.randint(0, len(self.all_items) - size)
            before, after = [self.mask_token] * start, [self.mask_token] * (len(prefix) - start - size)
            context = prefix[:start] + [self.mask_token] * size + prefix[start + size :]
            positive = before + prefix[start : start + size] + after
            negative = before + self.all_items[elsewhere : elsewhere + size] + after
        length = self.max_length
        attributes = []
        for item in pad(prefix, length):
            row = [0] * self.num_columns
            for attribute in self.item_attributes.get(item, []):
                row[attribute] = 1
            attributes.append(row)
        ids = (masked, prefix, negatives, context, positive, negative)
        return {"views": [pad(column, length) for column in ids], "attributes": attributes}

    def batch(self, indices: list[int], rng: random.Random) -> tuple[list[Tensor], Tensor]:
        """Six id tensors [B, L] and multi-hot attributes [B, L, A + 1]."""
        samples = [self.sample(index, rng) for index in indices]
        views = [torch.tensor([sample["views"][i] for sample in samples]) for i in range(6)]
        return views, torch.stack([torch.tensor(sample["attributes"]) for sample in samples])


def encode(model, items: Tensor, causal: bool = False, training: bool = False) -> Tensor:
    """The encoder, one operation a line: [B, L] -> [B, L, H]."""
    config, length = model.config, items.shape[1]
    drop, drop_attention = config.hidden_dropout_prob, config.attn_dropout_prob
    norm = (config.hidden_size,)
    x = model.item_embeddings(items) + model.position_embeddings(torch.arange(length))
    x = F.layer_norm(x, norm, model.layer_norm.weight, model.layer_norm.bias, config.layer_norm_eps)
    x = F.dropout(x, drop, training)
    allowed = (items > 0)[:, None, None, :].expand(-1, 1, length, -1)
    if causal:
        allowed = allowed & torch.ones(length, length, dtype=torch.bool).tril()
    mask = torch.where(allowed, 0.0, -1e8)
    for block in model.blocks:
        attention, feed_forward = block.attention, block.feed_forward
        weights = attention.query_key_value.weight.chunk(3)
        biases = attention.query_key_value.bias.chunk(3)
        size = config.hidden_size // config.n_heads
        query, key, value = (
            F.linear(x, weight, bias).view(*x.shape[:2], config.n_heads, size).transpose(1, 2)
            for weight, bias in zip(weights, biases, strict=True)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(size) + mask
        probabilities = F.dropout(F.softmax(scores, dim=-1), drop_attention, training)
        context = (probabilities @ value).transpose(1, 2).reshape(x.shape)
        out = F.dropout(attention.output(context), drop, training)
        x = F.layer_norm(out + x, norm, *attention.layer_norm.parameters(), config.layer_norm_eps)
        inner = feed_forward.activation(feed_forward.inner(x))
        out = F.dropout(feed_forward.output(inner), drop, training)
        x = F.layer_norm(out + x, norm, *feed_forward.layer_norm.parameters(), config.layer_norm_eps)
    return x


def losses(model, views: list[Tensor], attributes: Tensor, training: bool = False) -> dict[str, Tensor]:
    """The four sums that the authors' code minimises, every position scored."""
    masked_items, pos_items, neg_items, context, pos_segment, neg_segment = views
    hidden = encode(model, masked_items, training=training)  # [B, L, H]
    masked = (masked_items == model.mask_token).float()
    known = ((masked_items != model.mask_token) & (masked_items != 0)).float()
    targets = attributes.to(hidden.dtype)
    result = {}
    for name, counted in (("aap", known), ("map", masked)):
        scores = torch.sigmoid(model.heads[name](hidden) @ model.attribute_embeddings.weight.T)  # [B, L, A + 1]
        result[name] = (F.binary_cross_entropy(scores, targets, reduction="none") * counted[:, :, None]).sum()
    view = model.heads["mip"](hidden)
    positive = torch.sigmoid((view * model.item_embeddings(pos_items)).sum(-1))
    negative = torch.sigmoid((view * model.item_embeddings(neg_items)).sum(-1))
    distance = torch.sigmoid(positive - negative)
    result["mip"] = (F.binary_cross_entropy(distance, torch.ones_like(distance), reduction="none") * masked).sum()
    context_state = model.heads["sp"](encode(model, context, training=training)[:, -1])
    positive = torch.sigmoid((context_state * encode(model, pos_segment, training=training)[:, -1]).sum(-1))
    negative = torch.sigmoid((context_state * encode(model, neg_segment, training=training)[:, -1]).sum(-1))
    distance = torch.sigmoid(positive - negative)
    result["sp"] = F.binary_cross_entropy(distance, torch.ones_like(distance), reduction="sum")
    return result


class ReferenceTrainer:
    """Pre-trains a model with the plain step; `step` returns the number of sequences it trained on."""

    def __init__(self, model, data, batch_size: int = 100, seed: int = 42):
        self.model, self.batch_size = model, batch_size
        self.samples = ReferenceSamples(data, model.config.max_length)
        self.rng = random.Random(seed)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
        self.weights = {"aap": 0.2, "mip": 1.0, "map": 1.0, "sp": 0.5}

    def step(self) -> int:
        indices = [self.rng.randrange(len(self.samples.prefixes)) for _ in range(self.batch_size)]
        views, attributes = self.samples.batch(indices, self.rng)
        terms = losses(self.model, views, attributes, training=True)
        self.optimizer.zero_grad()
        sum(weight * terms[name] for name, weight in self.weights.items()).backward()
        self.optimizer.step()
        return self.batch_size
