"""The processes that share a run: each works on its part of every batch, and all keep the same weights.

`Workers()` is a process alone. `s3rec_lite.runs.processes` starts others on this machine or joins those that
``torchrun`` started; what they say to each other goes through `torch.distributed`.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed

from s3rec_lite.support.errors import SettingError, TrainingError
from s3rec_lite.support.gradients import Gradients, total

T = TypeVar("T")


class Workers:
    """This process is number ``rank`` of ``size``; number 0 writes files and shows the progress."""

    def __init__(self, rank: int = 0, size: int = 1):
        self.rank, self.size = rank, size

    def check(self, num_shards: int) -> None:
        """Raise SettingError unless the shards of a batch can be shared out evenly in a fixed order."""
        if num_shards % self.size:
            raise SettingError(
                f"{self.size} workers cannot share the {num_shards} shards of a batch evenly; "
                "choose --workers among the divisors of --shards"
            )

    def share(self, parts: Sequence[T]) -> Sequence[T]:
        """This process's parts: a block of them."""
        count = len(parts) // self.size
        return parts[self.rank * count : (self.rank + 1) * count]

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all workers, in the order of their ranks; the shape is the same everywhere."""
        return values if self.size == 1 else torch.stack(self._gather(values)).sum(dim=0)

    def sum_array(self, values: np.ndarray) -> np.ndarray:
        """As `sum`, for an integer array."""
        return values if self.size == 1 else self.sum(torch.from_numpy(values)).numpy()

    def total(self, gradients: Gradients) -> Gradients:
        """The sum of all workers' gradients, by halves."""
        if self.size == 1:
            return gradients
        width, num_shared = gradients.values.shape[1], len(gradients.shared)
        if gradients.rows is None:
            message = torch.cat([gradients.shared, gradients.values.flatten()])
            return total(
                [
                    Gradients(each[:num_shared], None, each[num_shared:].view(-1, width))
                    for each in self._gather(message)
                ]
            )

        # Every worker touches a number of rows of its own: they tell the numbers first, then send equally much.
        counts = torch.cat(self._gather(torch.tensor([len(gradients.rows)], device=gradients.rows.device))).tolist()
        ids = gradients.rows.view(torch.float32)  # two for each id: the bits, not the number
        message = torch.cat([gradients.shared, ids, gradients.values.flatten()])
        padded = message.new_zeros(num_shared + max(counts) * (2 + width))
        padded[: len(message)] = message
        parts = []
        for count, each in zip(counts, self._gather(padded), strict=True):
            shared, ids, values = each[: num_shared + count * (2 + width)].split([num_shared, 2 * count, count * width])
            parts.append(Gradients(shared, ids.clone().view(torch.int64), values.view(count, width)))
        return total(parts)

    def from_first(self, content: Any) -> Any:
        """What worker 0 passes, everywhere."""
        if self.size == 1:
            return content
        box = [content]
        self._say(lambda: distributed.broadcast_object_list(box, src=0))
        return box[0]

    def _gather(self, values: Tensor) -> list[Tensor]:
        everywhere = [torch.empty_like(values) for _ in range(self.size)]
        self._say(lambda: distributed.all_gather(everywhere, values.contiguous()))
        return everywhere

    def _say(self, exchange: Any) -> None:
        """One exchange; that another worker is gone is one clear line."""
        try:
            exchange()
        except RuntimeError as error:
            raise WorkerLost(f"another of the {self.size} workers ended") from error


ALONE = Workers()
"""this process without others"""


class WorkerLost(TrainingError):
    """A process that shares the run is gone."""
