"""The optimizer of both stages, and the guards that stop a training which went wrong."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import TrainingError
from s3rec_lite.support.gradients import Gradients, hand_over


class Optimizer:
    """Adam, fused into one pass over the weights where the device has that.

    With ``item_gradients="sparse"`` the item table has an Adam of its own that moves, and remembers, only the rows
    that a batch touches: the time of a step does not grow with the catalogue, and resting items keep still.
    """

    def __init__(self, model: nn.Module, config: PretrainConfig | FinetuneConfig):
        self.model, self.sparse = model, config.item_gradients == "sparse"
        named = dict(model.named_parameters())
        table = [named.pop("item_embeddings.weight")] if self.sparse else []
        fused = next(model.parameters()).device.type in ("cpu", "cuda")
        self.parts: dict[str, torch.optim.Optimizer] = {
            "weights": torch.optim.Adam(
                named.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused
            )
        }
        if table:
            self.parts["items"] = torch.optim.SparseAdam(table, lr=config.learning_rate)

    def step(self, gradients: Gradients) -> None:
        """Move the weights by the summed gradients of a batch."""
        hand_over(gradients, self.model, self.sparse)
        for part in self.parts.values():
            part.step()
        self.model.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """The state of each part."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state of `state_dict`."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def check_finite(losses: Mapping[str, Tensor], learning_rate: float) -> None:
    """Raise TrainingError that names the first loss that is NaN or infinite."""
    for name, value in losses.items():
        number = float(value.detach())
        if not math.isfinite(number):
            raise TrainingError(
                f"the {name} loss is {number} at learning rate {learning_rate:g}; lower the learning rate"
            )


def check_weights(model: nn.Module, learning_rate: float) -> None:
    """Raise TrainingError that names the first weights that are NaN or infinite, as a last step may leave them."""
    for name, value in model.named_parameters():
        if not bool(torch.isfinite(value).all()):
            raise TrainingError(
                f"the weights {name} became NaN or infinite at learning rate {learning_rate:g}; lower the learning rate"
            )
