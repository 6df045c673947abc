"""Draws for a whole batch at once. Plain: draw for one entry, and again while the draw is one that it may not be."""

import numpy as np
import torch
from torch import Tensor


def sampled_negatives(targets: Tensor, rows: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """For each entry of ``rows`` [P] a column that its row of ``targets`` [N, A] lacks, and whether it does.

    Both are [P]. A row that has every attribute leaves nothing to draw; its entries come back with False.
    """
    width = targets.shape[1]
    drawn = torch.from_numpy(rng.integers(width, size=len(rows))).to(targets.device)
    for _ in range(100):
        taken = torch.nonzero(targets[rows, drawn]).squeeze(1)
        if not len(taken):
            break
        drawn[taken] = torch.from_numpy(rng.integers(width, size=len(taken))).to(targets.device)
    return drawn, ~targets[rows, drawn]
