"""Gradients of the parts of a batch: taken for the touched rows only, added up in a fixed order, handed to Adam.

A batch is cut into shards. Each shard gives one `Gradients`; their sum does not depend on which process worked on
which shard, because the order of the additions is fixed: a run has the same bits with any number of workers.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from s3rec_lite.support.softmax import SharedDraw

Model = TypeVar("Model", bound=nn.Module)
Chunk = tuple[Tensor, Tensor, Tensor | None]
"""inputs, targets and negatives of some samples"""


@dataclass(frozen=True)
class Gradients:
    """What one or several shards ask of the weights, and their losses."""

    shared: Tensor
    """float [P + parameters + losses]: all gradients but the item table's, whether each is there, then the losses"""
    rows: Tensor | None
    """int64 [R], sorted: the items that ``values`` belong to; None for every row of the table"""
    values: Tensor
    """float [R, H]"""

    def __add__(self, other: "Gradients") -> "Gradients":
        shared = self.shared + other.shared
        if self.rows is None or other.rows is None:
            return Gradients(shared, None, self.values + other.values)
        rows, where = torch.unique(torch.cat([self.rows, other.rows]), return_inverse=True)
        values = self.values.new_zeros(len(rows), self.values.shape[1])
        values.index_add_(0, where[: len(self.rows)], self.values)
        values.index_add_(0, where[len(self.rows) :], other.values)
        return Gradients(shared, rows, values)


def total(parts: Sequence[Gradients]) -> Gradients:
    """The sum by halves, ((0 + 1) + (2 + 3)): a worker's block of shards adds up to one of its branches."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return total(parts[:middle]) + total(parts[middle:])


def cut(indices: np.ndarray, rng: np.random.Generator, num_shards: int) -> list[tuple[np.ndarray, np.random.Generator]]:
    """The shards of a batch, each with a random stream of its own; neighbours go to different shards.

    One shard is the batch itself with ``rng``; a batch of fewer samples than shards leaves some of them empty.
    """
    if num_shards == 1:
        return [(indices, rng)]
    return [(indices[shard::num_shards], own) for shard, own in enumerate(rng.spawn(num_shards))]


def num_terms(views: Any, mask_token: int, skip_single_items: bool) -> Tensor:
    """How many terms the sum of each objective has, in the order of OBJECTIVES, int64 [4]: what a mean divides by.

    ``views`` as in `s3rec_lite.views.Views`. AAP has a term for each item that is seen, MIP and MAP for each mask, SP
    for each sequence.
    """
    masked = int((views.masked_items == mask_token).sum())
    lengths = (views.pos_items != 0).sum(dim=1)  # [B]
    segments = int((lengths > 1).sum()) if skip_single_items else len(lengths)
    return torch.tensor([int(lengths.sum()) - masked, masked, masked, segments])


# --- the touched rows of the item table -------------------------------------------------------------------------
# Plain: the model with its whole item table. Its gradient then has a row for every item, nearly all of them zero.


class TouchedItems:
    """Makes a model of just the items that a shard touches, with ids of its own from 0 on.

    All other weights are shared with the whole model, so their gradients arrive there. Padding stays id 0 and the
    mask token the last id.
    """

    def __init__(self, num_items: int):
        self._is_touched = np.zeros(num_items + 2, dtype=bool)
        self._label = np.zeros(num_items + 2, dtype=np.int64)

    def restrict(self, model: Model, ids: Sequence[Tensor]) -> tuple[Model, list[Tensor], Tensor]:
        """A small model, ``ids`` (on the CPU) in its numbers, and the touched rows of the table, int64 [R], sorted."""
        arrays = [tensor.numpy() for tensor in ids]
        self._is_touched[[0, -1]] = True
        for array in arrays:
            self._is_touched[array.ravel()] = True
        touched = np.flatnonzero(self._is_touched)
        self._is_touched[touched] = False
        self._label[touched] = np.arange(len(touched))

        table: Any = model.item_embeddings
        rows = torch.from_numpy(touched).to(table.weight.device)
        small: Any = copy.copy(model)
        small._modules = dict(model._modules)
        weights = table.weight.detach().index_select(0, rows)
        small.item_embeddings = nn.Embedding.from_pretrained(weights, freeze=False, padding_idx=0)
        small.num_items = len(touched) - 2
        return small, [torch.from_numpy(self._label[array]) for array in arrays], rows

    def restrict_chunks(
        self, model: Model, chunks: Sequence[Chunk], shared: SharedDraw | None
    ) -> tuple[Model, list[Chunk], SharedDraw | None, Tensor]:
        """As `restrict`, for chunks of a shard in fine-tuning and for the negatives that they share."""
        given = [tensor for chunk in chunks for tensor in chunk if tensor is not None]
        drawn = [] if shared is None else [shared.items.cpu()]
        small, ids, rows = self.restrict(model, [*given, *drawn])
        local = iter(ids)
        relabelled = [(next(local), next(local), None if chunk[2] is None else next(local)) for chunk in chunks]
        return small, relabelled, shared and shared._replace(items=next(local).to(rows.device)), rows


# --- from a backward pass to the optimizer ----------------------------------------------------------------------


def collect(model: nn.Module, small: nn.Module, rows: Tensor | None, losses: Tensor) -> Gradients:
    """Take the gradients out of a model, whose item table is that of ``small``; what has none counts as 0."""
    table: Any = small.item_embeddings
    others = _others(model)
    there = torch.tensor([float(weight.grad is not None) for weight in others])
    flat = [weight.new_zeros(weight.numel()) if weight.grad is None else weight.grad.flatten() for weight in others]
    shared = torch.cat([*flat, there.to(losses.device), losses])
    values = torch.zeros_like(table.weight) if table.weight.grad is None else table.weight.grad
    model.zero_grad(set_to_none=True)
    small.zero_grad(set_to_none=True)
    return Gradients(shared, rows, values)


def empty(model: nn.Module, restricted: bool, num_losses: int) -> Gradients:
    """What a shard without samples asks for: nothing."""
    table: Any = model.item_embeddings
    rows = torch.zeros(0, dtype=torch.int64, device=table.weight.device) if restricted else None
    values = table.weight.new_zeros(0 if restricted else len(table.weight), table.weight.shape[1])
    size = sum(weight.numel() + 1 for weight in _others(model)) + num_losses
    return Gradients(table.weight.new_zeros(size), rows, values)


def hand_over(gradients: Gradients, model: nn.Module, sparse: bool) -> None:
    """Put summed gradients where an optimizer looks for them; ``sparse`` leaves the item table's as rows."""
    others = _others(model)
    sizes = [weight.numel() for weight in others]
    there = gradients.shared[sum(sizes) :][: len(others)].tolist()
    for weight, part, is_there in zip(others, gradients.shared[: sum(sizes)].split(sizes), there, strict=True):
        weight.grad = part.view_as(weight) if is_there else None
    table: Any = model.item_embeddings
    if gradients.rows is None:
        table.weight.grad = gradients.values
    elif sparse:
        table.weight.grad = torch.sparse_coo_tensor(
            gradients.rows[None], gradients.values, table.weight.shape, is_coalesced=True, check_invariants=False
        )
    else:
        table.weight.grad = torch.zeros_like(table.weight).index_copy_(0, gradients.rows, gradients.values)


def _others(model: nn.Module) -> list[nn.Parameter]:
    """All weights but the item table."""
    return [weight for name, weight in model.named_parameters() if name != "item_embeddings.weight"]
