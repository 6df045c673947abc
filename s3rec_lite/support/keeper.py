"""What keeps a run's state between epochs."""

from typing import Any

from torch import Tensor, nn

from s3rec_lite.support.optimizer import Optimizer

Row = dict[str, float]
"""one epoch of a history"""


class Keeper:
    """Keeps a run's state between epochs; this one keeps nothing but the best weights, in memory."""

    def __init__(self) -> None:
        self.best: dict[str, Tensor] = {}

    def resume(self, model: Any, optimizer: Optimizer) -> list[Row]:
        """Bring model and optimizer to the last finished epoch; its history, empty for a fresh start."""
        self.best = clone_state(model)
        return []

    def save(self, model: Any, optimizer: Optimizer, history: list[Row], is_best: bool) -> None:
        """Take the state after an epoch."""
        if is_best:
            self.best = clone_state(model)


def clone_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}
