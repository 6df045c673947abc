"""The sequence encoder: embeddings, self-attention blocks and the dropout they share.

Equations (4) to (8) of the paper, with what the paper leaves open chosen as in the authors' code: residual
connections with the layer norm behind them (post-norm), dropout, normal initialisation.

Sequences are padded on the left and aligned on the right: the newest item always sits in position
``max_length - 1``, so a batch only needs to be as wide as its longest sequence, with the same result.
Plain twin of the whole encoder: `s3rec_lite.plain.encode`.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.fast import RandomDropout, attend_last

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}

MASKED_SCORE = -1e9
"""Added to attention scores that must not count. Finite: a padding query may have no real key at all."""


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention with residual and layer norm, equations (4) to (6)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.n_heads = config.n_heads
        self.head_size = config.hidden_size // config.n_heads
        self.scale = 1 / math.sqrt(self.head_size)
        self.query_key_value = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, x: Tensor, mask: Tensor, dropout: RandomDropout, last_only: bool = False) -> Tensor:
        """x [B, L, H] and an additive mask that broadcasts to [B, Q, L]; Q is 1 with ``last_only``, else L."""
        if last_only:
            queries = x[:, -1:]  # [B, 1, H]
            context = attend_last(self.query_key_value, self.n_heads, x, queries, mask, dropout)
        else:
            queries, context = x, self.attend(x, mask, dropout)
        return self.layer_norm(dropout.add(queries, self.output(context)))

    def attend(self, x: Tensor, mask: Tensor, dropout: RandomDropout) -> Tensor:
        """Every position asks every position: [B, L, H] -> [B, L, H]."""
        mask = mask.expand(-1, x.shape[1], -1)  # [B, L, L]
        # One head at a time, as slices: a batched product reads slices in place, while a head axis costs copies.
        parts = self.query_key_value(x).split(self.head_size, dim=-1)
        contexts = []
        for head in range(self.n_heads):
            query, key, value = parts[head :: self.n_heads]  # [B, L, H / n_heads] each
            scores = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=self.scale)  # [B, L, L]
            contexts.append(torch.bmm(dropout.attention(torch.softmax(scores, dim=-1)), value))
        return torch.cat(contexts, dim=-1)


class FeedForward(nn.Module):
    """Position-wise feed-forward network with residual and layer norm, equations (7) and (8)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.inner = nn.Linear(config.hidden_size, config.inner_size)
        self.output = nn.Linear(config.inner_size, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor, dropout: RandomDropout) -> Tensor:
        """x [B, L, H] -> [B, L, H]."""
        return self.layer_norm(dropout.add(x, self.output(self.activation(self.inner(x)))))


class Block(nn.Module):
    """One layer of the encoder: attention, then feed-forward."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.attention = SelfAttention(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, mask: Tensor, dropout: RandomDropout, last_only: bool = False) -> Tensor:
        return self.feed_forward(self.attention(x, mask, dropout, last_only), dropout)
