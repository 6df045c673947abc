"""S3Rec: the encoder, the item and attribute tables, and the four bilinear heads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3rec_lite.encoder import MASKED_SCORE, Block
from s3rec_lite.support.checks import checked_history
from s3rec_lite.support.config import OBJECTIVES, ModelConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.fast import RandomDropout
from s3rec_lite.support.runtime import evaluation_mode


class S3Rec(nn.Module):
    """The model of the paper's Figure 1.

    Args:
        num_items: ids 1 to num_items are items; 0 is padding, num_items + 1 the mask token.
        num_attributes: ids 1 to num_attributes; 0 is unused.
        config: sizes and dropout.
        seed: seed of the initial weights.
    """

    def __init__(self, num_items: int, num_attributes: int, config: ModelConfig | None = None, *, seed: int = 42):
        super().__init__()
        if num_items < 1 or num_attributes < 0:
            raise SettingError(f"num_items={num_items}, num_attributes={num_attributes}: need at least one item")
        config = config or ModelConfig()
        self.num_items, self.num_attributes, self.config = num_items, num_attributes, config
        self.max_length = config.max_length  # the longest history that the encoder sees
        with torch.random.fork_rng(devices=()):  # the global random stream stays as it is
            self.item_embeddings = nn.Embedding(num_items + 2, config.hidden_size, padding_idx=0)
            self.attribute_embeddings = nn.Embedding(num_attributes + 1, config.hidden_size)
            self.position_embeddings = nn.Embedding(config.max_length, config.hidden_size)
            self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
            self.heads = nn.ModuleDict({name: nn.Linear(config.hidden_size, config.hidden_size) for name in OBJECTIVES})
        self.reset_parameters(seed)

    @torch.no_grad()
    def reset_parameters(self, seed: int) -> None:
        """Draw all weights anew: matrices from a normal distribution, biases 0, layer norms the identity."""
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                drawn = torch.randn(module.weight.shape, generator=generator) * self.config.initializer_range
                module.weight.copy_(drawn)
            if isinstance(module, nn.Linear):
                module.bias.zero_()
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        if self.config.zero_padding_row:
            self.item_embeddings.weight[0] = 0

    @property
    def mask_token(self) -> int:
        """The id that stands for a hidden item."""
        return self.num_items + 1

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.item_embeddings.weight.device

    def draw_dropout(self, rng: np.random.Generator | None) -> RandomDropout:
        """The dropout of one forward pass; none without a generator or in evaluation mode."""
        return RandomDropout(self.config, rng if self.training else None)

    def embed(self, items: Tensor, dropout: RandomDropout, causal: bool = False) -> Tensor:
        """Item plus position, normalised: [B, L] -> [B, L, H]."""
        length = items.shape[1]
        if length > self.max_length:
            raise SettingError(f"sequences of {length} items exceed max_length={self.max_length}; cut them first")
        if causal and self.config.finetune_positions == "left":
            real = items != 0
            positions = self.position_embeddings((real.cumsum(1) - 1).clamp(min=0))  # [B, L, H]
        else:
            positions = self.position_embeddings.weight[self.max_length - length :]  # [L, H]
        x = F.embedding(items, self.item_embeddings.weight, padding_idx=0) + positions
        return dropout.hidden(self.layer_norm(x))

    def attention_mask(self, items: Tensor, causal: bool) -> Tensor:
        """Additive mask: keys at padding, and with ``causal`` keys in the future, do not count.

        [B, L] -> [B, 1, L], or [B, L, L] with ``causal``.
        """
        hidden = (items == 0)[:, None, :]
        if causal:
            length = items.shape[1]
            future = torch.ones(length, length, dtype=torch.bool, device=items.device).triu(1)
            hidden = hidden | future
        return self.item_embeddings.weight.new_zeros(hidden.shape).masked_fill_(hidden, MASKED_SCORE)

    def encode(self, items: Tensor, causal: bool = False, rng: np.random.Generator | None = None) -> Tensor:
        """Hidden states of every position: [B, L] -> [B, L, H]. Rows at padding mean nothing."""
        return self._walk(items, len(items), causal, rng)[0]

    def encode_last(self, items: Tensor, causal: bool = True, rng: np.random.Generator | None = None) -> Tensor:
        """Hidden state of the newest position only: [B, L] -> [B, H]; the last block computes nothing else."""
        return self._walk(items, 0, causal, rng)[1]

    def encode_views(
        self, everywhere: Tensor, newest: Tensor, rng: np.random.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """One bidirectional pass for two groups of sequences of one width.

        everywhere [B, L] -> [B, L, H]; newest [S, L] -> [S, H], its last position only.
        """
        return self._walk(torch.cat([everywhere, newest]), len(everywhere), False, rng)

    def _walk(
        self, items: Tensor, num_full: int, causal: bool, rng: np.random.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """The encoder's only walk: items [B, L] -> all states of the first ``num_full`` rows, the newest of the rest.

        The first ``num_full`` rows come back as [num_full, L, H], the others as [B - num_full, H].
        """
        dropout = self.draw_dropout(rng)
        x, mask = self.embed(items, dropout, causal), self.attention_mask(items, causal)
        for block in self.blocks[:-1]:
            x = block(x, mask, dropout)
        last = self.blocks[-1]
        x_full, x_newest = x.split([num_full, len(items) - num_full])
        if num_full:
            x_full = last(x_full, mask[:num_full], dropout)
        if len(x_newest):
            x_newest = last(x_newest, mask[num_full:, -1:], dropout, last_only=True)  # [B - num_full, 1, H]
        return x_full, x_newest[:, -1]

    def score(self, histories: Tensor) -> Tensor:
        """Scores of every id as the next item, equation (9): [B, L] -> [B, num_items + 2]."""
        return self.encode_last(histories) @ self.item_embeddings.weight.T

    def score_candidates(self, histories: Tensor, candidates: Tensor) -> Tensor:
        """Scores of given ids: histories [B, L], candidates [B, C] -> [B, C]."""
        hidden = self.encode_last(histories)
        return torch.einsum("bh,bch->bc", hidden, self.item_embeddings(candidates))

    @contextmanager
    def evaluating(self) -> Iterator["S3Rec"]:
        """Evaluation mode without gradients; the mode is restored afterwards."""
        with evaluation_mode(self):
            yield self

    def recommend(
        self, history: Sequence[int], k: int = 10, *, exclude_seen: bool = True
    ) -> tuple[list[int], list[float]]:
        """The k best next items for a history of item ids, oldest first: ids and scores, best first.

        Raises SettingError for an empty history, an id that is not an item, or a negative k.
        """
        if k < 0:
            raise SettingError(f"k={k}: ask for 0 or more items")
        items = checked_history(history, self.num_items)
        with self.evaluating():
            recent = torch.tensor([items[-self.max_length :]], device=self.device)
            scores = self.score(recent)[0, : self.num_items + 1].float()  # [num_items + 1]
            scores[0] = -torch.inf
            if exclude_seen:
                scores[items] = -torch.inf
            available = int(torch.isfinite(scores).sum())
            best = scores.topk(min(k, available))
        return best.indices.tolist(), best.values.tolist()
