"""Small critics for teaching, and a short loop that trains one and writes down what its bound says."""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from s3rec_lite.information import bounds
from s3rec_lite.support.errors import SettingError, TrainingError

__all__ = ["BOUNDS", "BilinearCritic", "ConcatCritic", "SeparableCritic", "estimate"]

_Sampler = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
_Bound = Callable[[Tensor], Tensor]

BOUNDS: dict[str, tuple[_Bound, _Bound]] = {
    "dv": (bounds.dv, bounds.dv),
    "mine": (bounds.mine, bounds.mine),
    "nwj": (bounds.nwj, bounds.nwj),
    "info_nce": (bounds.info_nce, bounds.info_nce),
    "js": (bounds.js, bounds.js_value),
    "smile": (bounds.js, bounds.smile),
}
"""What each name of `estimate` maximises, and what it reports; "mine" maximises `mine_objective`."""


def _layers(sizes: list[int], generator: torch.Generator) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them, initialised from ``generator``."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        if min(inputs, outputs) < 1:
            raise SettingError(f"layer sizes {sizes} hold a number below 1; give 1 or more")
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs)  # the usual one draws from the global generator
        for weight in (layer.weight, layer.bias):
            nn.init.uniform_(weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _Critic(nn.Module):
    """Scores of all pairs of x [K, dim_x] and y [M, dim_y]: [K, M], in (0, 1) if ``bounded``."""

    def __init__(self, bounded: bool):
        super().__init__()
        self.bounded = bounded

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        dtype = next(self.parameters()).dtype
        scores = self.scores(x.to(dtype), y.to(dtype))
        return torch.sigmoid(scores) if self.bounded else scores


class BilinearCritic(_Critic):
    """x^T W y, the form of S³-Rec's four critics; with ``bounded=True`` equations (11), (13), (15) and (17).

    The log ratio of correlated Gaussians also has squares of x and of y, which it lacks. InfoNCE compares candidates y
    for one x, so it forgives the former, not the latter.
    """

    def __init__(self, dim_x: int, dim_y: int, *, bounded: bool = False, seed: int = 0):
        super().__init__(bounded)
        if min(dim_x, dim_y) < 1:
            raise SettingError(f"dim_x {dim_x} and dim_y {dim_y} must be 1 or more")
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(dim_x, dim_y, generator=generator) / math.sqrt(dim_x * dim_y))

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        return x @ self.weight @ y.T


class SeparableCritic(_Critic):
    """g(x) . h(y): two networks and a dot product (Poole et al. 2019). K + M passes for K x M scores.

    Each network has two layers of ``hidden`` units and ends in ``embed`` numbers.
    """

    def __init__(
        self, dim_x: int, dim_y: int, hidden: int = 64, embed: int = 16, *, bounded: bool = False, seed: int = 0
    ):
        super().__init__(bounded)
        generator = torch.Generator().manual_seed(seed)
        self.left = _layers([dim_x, hidden, hidden, embed], generator)
        self.right = _layers([dim_y, hidden, hidden, embed], generator)

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        return self.left(x) @ self.right(y).T


class ConcatCritic(_Critic):
    """f([x; y]): one network on each pair (Poole et al. 2019). Abler than `SeparableCritic`; K * M passes."""

    def __init__(self, dim_x: int, dim_y: int, hidden: int = 64, *, bounded: bool = False, seed: int = 0):
        super().__init__(bounded)
        self.network = _layers([dim_x + dim_y, hidden, hidden, 1], torch.Generator().manual_seed(seed))

    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        rows, columns = len(x), len(y)
        pairs = torch.cat([x[:, None].expand(-1, columns, -1), y[None].expand(rows, -1, -1)], dim=-1)  # [K, M, dx + dy]
        return self.network(pairs).squeeze(-1)


def estimate(
    sample: _Sampler,
    critic: nn.Module,
    bound: str | _Bound = "info_nce",
    *,
    steps: int,
    batch_size: int,
    generator: torch.Generator,
    learning_rate: float = 5e-4,
) -> Tensor:
    """Train ``critic`` in place with Adam; returns what the bound said at each step, in nats: float64 [steps].

    Every batch is fresh and is read before the critic learns from it, so no value is flattered by its training data.
    The value of a single batch is noisy: average the last hundred or so.

    Args:
        sample: ``sample(num, generator)`` returns x [num, dim_x] and y [num, dim_y] drawn from the joint distribution.
        critic: module that maps x and y to scores [K, K].
        bound: a name of `BOUNDS`, or a function of the scores.
        steps: one batch each.
        batch_size: K, 2 or more.
        generator: source of the samples.
        learning_rate: of Adam.

    Raises TrainingError if the objective becomes NaN or infinite.
    """
    if not callable(bound) and bound not in BOUNDS:
        raise SettingError(f"bound {bound!r} is not one of {', '.join(BOUNDS)}; or give a function of the scores")
    if steps < 1 or batch_size < 2:
        raise SettingError(f"steps {steps} and batch_size {batch_size} must be at least 1 and 2")
    objective, value = (bound, bound) if callable(bound) else BOUNDS[bound]
    optimizer = torch.optim.Adam(critic.parameters(), lr=learning_rate)
    trace, log_average = torch.empty(steps, dtype=torch.float64), None
    for step in range(steps):
        scores = critic(*sample(batch_size, generator))  # [K, K]
        trace[step] = value(scores.detach())
        if bound == "mine":
            gain, log_average = bounds.mine_objective(scores, log_average)
        else:
            gain = objective(scores)
        if not torch.isfinite(gain):
            raise TrainingError(f"the objective became {gain.item()} at step {step}; lower learning_rate")
        optimizer.zero_grad(set_to_none=True)
        (-gain).backward()
        optimizer.step()
    return trace
