"""Whose gradient moves the weights: one gradient an objective, and what their Gram matrix says about every weighting.

Write g_i for the gradient of the unweighted loss of objective i, and G for the 4 x 4 matrix of inner products
G_ij = g_i . g_j. Pre-training follows g = sum of w_i g_i. Its length, its angle with each g_i, and how fast each loss
changes along it are all made of inner products of the g_i: with G in hand they are exact for every choice of the
weights w, without going back to the model. So everything below `gram_matrix` is arithmetic on 16 numbers.

Objectives are in the order of `s3rec_lite.support.config.OBJECTIVES`: aap, mip, map, sp. Weights and losses are
sequences of four numbers in this order, or mappings by name such as ``PretrainConfig().weights``.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from s3rec_lite.data import SequenceData
from s3rec_lite.model import S3Rec
from s3rec_lite.objectives import pretraining_losses
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from s3rec_lite.views import Owners, Views, ViewSampler

_Values = Sequence[float] | np.ndarray | Mapping[str, float]


class Probe(NamedTuple):
    """What one batch says about the four objectives."""

    losses: np.ndarray
    """[4], unweighted, in nats; sums or means as the settings say"""
    gram: np.ndarray
    """[4, 4], inner products of the unweighted losses' gradients"""


def shared_parameters(model: S3Rec) -> list[nn.Parameter]:
    """All weights but those of the four heads, which serve one objective each.

    A head adds to the length of its own objective's gradient and to no inner product between two objectives.
    """
    return [value for name, value in model.named_parameters() if not name.startswith("heads.")]


def _every_objective(config: PretrainConfig) -> PretrainConfig:
    """The same settings with all weights 1: an objective of weight 0 would not be computed at all."""
    weights: dict[str, Any] = {f"{name}_weight": 1.0 for name in OBJECTIVES}
    return dataclasses.replace(config, **weights)


def objective_gradients(
    model: S3Rec,
    views: Views,
    attributes: Tensor,
    config: PretrainConfig | None = None,
    *,
    owners: Owners | None = None,
    candidates: Tensor | None = None,
) -> tuple[np.ndarray, Tensor]:
    """The four unweighted losses [4] and their gradients [4, P] by the `shared_parameters`, one backward pass each.

    There is no dropout, and forms that draw negatives draw the same ones in every call. The model's weights and its
    ``.grad`` stay as they are.

    Args:
        model, views, attributes, owners, candidates: as for `s3rec_lite.objectives.pretraining_losses`. The views must
            hold negatives for MIP (a sampler whose ``mip_weight`` is 0 draws none).
        config: forms, reduction and switches; its weights play no part.
    """
    config = _every_objective(config or PretrainConfig())
    parameters = shared_parameters(model)
    losses = pretraining_losses(model, views, attributes, config, owners=owners, candidates=candidates)
    rows = []
    for name in OBJECTIVES:
        parts = torch.autograd.grad(losses[name], parameters, retain_graph=True, allow_unused=True)
        flat = [torch.zeros_like(p) if part is None else part for part, p in zip(parts, parameters, strict=True)]
        rows.append(torch.cat([part.flatten() for part in flat]))
    return np.array([losses[name].item() for name in OBJECTIVES]), torch.stack(rows)


def gram_matrix(gradients: Tensor) -> np.ndarray:
    """Inner products of the rows, in double precision: [4, P] -> [4, 4]."""
    rows = gradients.double().cpu()
    return (rows @ rows.T).numpy()


def batch_gradients(
    model: S3Rec, data: SequenceData, config: PretrainConfig | None = None, *, num_sequences: int = 200, seed: int = 0
) -> tuple[np.ndarray, Tensor]:
    """`objective_gradients` on a batch that is drawn from the data, without dropout.

    The same ``seed`` gives the same prefixes, masks, segments and negatives whatever the weights of the model are,
    so that moments of training can be compared.
    """
    config = _every_objective(config or PretrainConfig())
    sampler, rng = ViewSampler(data, config, model.max_length), np.random.default_rng(seed)
    indices = rng.permutation(len(sampler))[:num_sequences]
    views, owners = sampler.batch(indices, rng).to(model.device), sampler.owners(indices, model.device)
    candidates = torch.from_numpy(sampler.negatives.candidates).to(model.device)
    attributes = data.attributes.to(model.device)
    return objective_gradients(model, views, attributes, config, owners=owners, candidates=candidates)


def probe(model: S3Rec, data: SequenceData, config: PretrainConfig | None = None, **options: int) -> Probe:
    """Losses and Gram matrix on a fixed batch; arguments as for `batch_gradients`."""
    losses, gradients = batch_gradients(model, data, config, **options)
    return Probe(losses, gram_matrix(gradients))


def vector(values: _Values) -> np.ndarray:
    """Four numbers in the order of the objectives, float64 [4]."""
    if isinstance(values, Mapping):
        values = [values[name] for name in OBJECTIVES]
    return np.asarray(values, dtype=np.float64)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients; NaN where the denominator is 0, since a zero vector has no direction."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)


def loss_shares(losses: _Values, weights: _Values) -> np.ndarray:
    """Each objective's part of the joint loss, [4]; sums to 1."""
    parts = vector(losses) * vector(weights)
    return _ratio(parts, parts.sum())


def norms(gram: np.ndarray) -> np.ndarray:
    """Lengths of the four unweighted gradients, [4]."""
    return np.sqrt(np.diag(gram))


def shares(gram: np.ndarray, weights: _Values) -> np.ndarray:
    """Each objective's part of the summed lengths of the weighted gradients, [4]; sums to 1."""
    lengths = norms(gram) * vector(weights)
    return _ratio(lengths, lengths.sum())


def cosines(gram: np.ndarray) -> np.ndarray:
    """Cosine between each two gradients, [4, 4]: 1 the same direction, 0 unrelated, below 0 conflict."""
    return _ratio(gram, np.outer(norms(gram), norms(gram)))


def cosines_between(first: Tensor, second: Tensor) -> np.ndarray:
    """Cosines between the gradients on two batches, rows of the first against rows of the second: [4, P] -> [4, 4].

    What two independent batches share is no sampling noise. The diagonal says how far an objective agrees with itself.
    """
    first, second = (nn.functional.normalize(rows.double().cpu(), dim=1) for rows in (first, second))
    return (first @ second.T).numpy()


def step_length(gram: np.ndarray, weights: _Values) -> float:
    """Length of the combined gradient, the square root of w'Gw."""
    weights = vector(weights)
    return float(np.sqrt(max(weights @ gram @ weights, 0.0)))


def alignments(gram: np.ndarray, weights: _Values) -> np.ndarray:
    """Cosine of the combined gradient with each objective's own, [4]."""
    return _ratio(gram @ vector(weights), norms(gram) * step_length(gram, weights))


def slopes(gram: np.ndarray, weights: _Values) -> np.ndarray:
    """How fast each unweighted loss changes along plain gradient descent, [4]: -(Gw).

    A step of size r along the negative combined gradient changes loss i by r times entry i, to first order. Above 0:
    the joint step makes this objective worse.
    """
    return -(gram @ vector(weights))
