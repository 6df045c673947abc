"""What a model has to offer to be ranked."""

from typing import Protocol

import torch


class Scorer(Protocol):
    """Anything that can be evaluated; a torch module is put in evaluation mode and asked on its own device.

    Histories are padded with 0 on the left and cut to the last `max_length` items; a batch is only as wide as
    its longest history, and the last item is always in the last column.
    """

    @property
    def max_length(self) -> int:
        """How many items of a history it looks at."""

    def score(self, histories: torch.Tensor) -> torch.Tensor:
        """Histories int64 [B, L] to scores [B, num_items + 2] of all ids, padding and mask token included."""

    def score_candidates(self, histories: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Histories int64 [B, L] and item ids int64 [B, C] to the scores of those items: [B, C]."""
