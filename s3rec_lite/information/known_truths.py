"""Pairs of variables whose mutual information is known in closed form, and samples of them. All in nats."""

import math

import torch
from torch import Tensor

from s3rec_lite.support.errors import SettingError

__all__ = [
    "gaussian_correlation", "gaussian_log_ratio", "gaussian_mi", "gaussian_nwj_variance", "sample_gaussian",
    "sample_uniform_noise", "uniform_noise_mi",
]  # fmt: skip


# Correlated Gaussians


def _check_gaussian(rho: float, dim: int) -> None:
    if not -1 < rho < 1:
        raise SettingError(f"rho {rho} is out of range; give a correlation strictly between -1 and 1")
    if dim < 1:
        raise SettingError(f"dim {dim} is too small; give 1 or more")


def gaussian_mi(rho: float, dim: int = 1) -> float:
    """-dim / 2 * log(1 - rho^2): ``dim`` independent pairs of standard normals of correlation rho (E.2)."""
    _check_gaussian(rho, dim)
    return -dim / 2 * math.log1p(-(rho**2)) + 0.0  # + 0.0: no minus zero


def gaussian_correlation(mi: float, dim: int = 1) -> float:
    """The correlation, 0 or above, at which `gaussian_mi` is ``mi``: sqrt(1 - exp(-2 mi / dim)) (E.2)."""
    _check_gaussian(0.0, dim)
    if not 0 <= mi < math.inf:
        raise SettingError(f"mi {mi} is out of range; give a finite number of nats, 0 or more")
    rho = math.sqrt(-math.expm1(-2 * mi / dim))
    if rho == 1:
        raise SettingError(
            f"mi {mi} in {dim} dimensions is a correlation that rounds to 1; give less or more dimensions"
        )
    return rho


def sample_gaussian(
    num: int, dim: int, rho: float, generator: torch.Generator, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """``num`` draws of the pair of `gaussian_mi`: x and y, each [num, dim].

    Double precision by default: at 10 nats in one dimension 1 - rho^2 is 2e-9, which float32 takes for 0.
    """
    _check_gaussian(rho, dim)
    x, noise = torch.randn(2, num, dim, generator=generator, dtype=torch.float64, device=generator.device)
    return x.to(dtype), (rho * x + math.sqrt((1 - rho) * (1 + rho)) * noise).to(dtype)


def gaussian_log_ratio(x: Tensor, y: Tensor, rho: float) -> Tensor:
    """The optimal critic log p(x, y) / (p(x) p(y)) of the pair of `gaussian_mi` for all pairs: float64 [..., K, K].

    Tight for `dv` and `info_nce` (K to infinity); add 1 for `nwj`. x and y are [..., K, dim], of correlation rho.
    """
    dim = x.shape[-1]
    _check_gaussian(rho, dim)
    x, y = x.double(), y.double()
    left = (1 - rho) * (1 + rho)  # variance of y given x
    # |y - rho x|^2 is taken apart into squares and a product, so that no [K, K, dim] is needed.
    squares = (rho * x).square().sum(dim=-1)[..., :, None] + (y * rho).square().sum(dim=-1)[..., None, :]
    return gaussian_mi(rho, dim) + (2 * rho * (x @ y.mT) - squares) / (2 * left)


def gaussian_nwj_variance(rho: float, dim: int, num_pairs: int) -> float:
    """Variance of `nwj` on K pairs with the optimal critic 1 + log ratio, exact, in nats squared.

    dim * rho^2 / K from the joint term, and (e^(2 I) - 1 + (1 - rho^4)^-dim - 1) / (K (K - 1)) from the product term:
    e^(2 I) - 1 is the variance of the ratio under the product, and the other part comes from the pairs (i, j) and
    (j, i) of a batch, which are not independent. This is why estimating I takes of the order of e^I pairs.
    """
    _check_gaussian(rho, dim)
    if num_pairs < 2:
        raise SettingError(f"num_pairs {num_pairs} is too small; give 2 or more")
    product = math.expm1(2 * gaussian_mi(rho, dim)) + math.expm1(-dim * math.log1p(-(rho**4)))
    return dim * rho**2 / num_pairs + product / (num_pairs * (num_pairs - 1))


# A number and the same number with uniform noise


def _check_width(half_width: float) -> None:
    if not 0 < half_width < math.inf:
        raise SettingError(f"half_width {half_width} is out of range; give a finite number above 0")


def uniform_noise_mi(half_width: float) -> float:
    """X uniform on [0, 1], Y = X + noise uniform on [-w, w]: 1 / (4 w) if w > .5, else w - log 2 w (E.5)."""
    _check_width(half_width)
    return 1 / (4 * half_width) if half_width > 0.5 else half_width - math.log(2 * half_width)


def sample_uniform_noise(num: int, half_width: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``num`` draws of the pair of `uniform_noise_mi`: x and y, float64 [num, 1] each."""
    _check_width(half_width)
    x, noise = torch.rand(2, num, 1, generator=generator, dtype=torch.float64, device=generator.device)
    return x, x + half_width * (2 * noise - 1)
