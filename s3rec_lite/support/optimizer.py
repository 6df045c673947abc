"""The optimizer of both stages, and the guards that stop a training which went wrong."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from s3rec_lite.support.errors import TrainingError


def make_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Adam:
    """Adam; fused into one pass over the weights where the device has that."""
    parameters = list(model.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, fused=fused)


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
