"""One step of pre-training: views of a batch, four losses, one step of the optimizer (section 4.4).

Plain twin: `s3rec_lite.plain.PlainTrainer`.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData
from s3rec_lite.model import S3Rec
from s3rec_lite.objectives import joint_loss, pretraining_losses
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from s3rec_lite.support.gradients import Gradients, TouchedItems, collect, cut, empty, num_terms, total
from s3rec_lite.support.optimizer import Optimizer, check_finite
from s3rec_lite.support.runtime import arithmetic
from s3rec_lite.support.workers import ALONE, Workers
from s3rec_lite.views import Views, ViewSampler


class PretrainStep:
    """The stage of pre-training that `s3rec_lite.training` runs; ``step`` may be called by itself as well."""

    name = "pretrain"
    num_losses = len(OBJECTIVES)

    def __init__(
        self,
        model: S3Rec,
        data: SequenceData,
        config: PretrainConfig,
        sampler: ViewSampler,
        workers: Workers = ALONE,
    ):
        self.model, self.config, self.sampler, self.workers = model, config, sampler, workers
        self.attributes = data.attributes.to(model.device)
        self.candidates = torch.from_numpy(sampler.negatives.candidates).to(model.device)
        self.optimizer = Optimizer(model, config)
        self.touched = None if config.touches_all_items else TouchedItems(data.num_items)
        self.summed = replace(config, reduction="sum")  # a shard does not know the batch's numbers of terms

    def losses(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The four losses of the prefixes ``indices``, with dropout in training mode."""
        views = self.sampler.batch(indices, rng).to(self.model.device)
        return self._forward(self.model, indices, views, self.attributes, self.config, rng)

    def step(self, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Train on one batch; returns the four losses [4], detached. Raises TrainingError when one is not finite."""
        # This worker's shards of the batch, and what their sums are divided by.
        parts = self.workers.share(cut(indices, rng, self.config.shards))
        views = [self.sampler.batch(part, own) if len(part) else None for part, own in parts]
        scale = torch.ones(len(OBJECTIVES), dtype=torch.float64)
        if self.config.reduction == "mean":  # by the number of terms in the whole batch
            switches = self.model.mask_token, self.config.skip_single_items
            counts = [num_terms(each, *switches) for each in views if each is not None]
            scale = 1 / self.workers.sum(sum(counts, torch.zeros(4, dtype=torch.int64))).clamp(min=1)

        # Gradients and losses of the whole batch, the same in every worker.
        gradients = [self._gradients(*part, each, scale) for part, each in zip(parts, views, strict=True)]
        whole = self.workers.total(total(gradients))
        losses = whole.shared[-len(OBJECTIVES) :]
        check_finite(dict(zip(OBJECTIVES, losses, strict=True)), self.config.learning_rate)
        self.optimizer.step(whole)
        return losses

    def _gradients(
        self, indices: np.ndarray, rng: np.random.Generator, views: Views | None, scale: Tensor
    ) -> Gradients:
        """Forward and backward pass of one shard; its sums times ``scale`` [4] are its part of the batch's losses."""
        if views is None:
            return empty(self.model, self.touched is not None, len(OBJECTIVES))
        model, attributes, rows = self.model, self.attributes, None
        if self.touched:
            model, ids, rows = self.touched.restrict(self.model, views)
            views, attributes = Views(*ids), attributes.index_select(0, rows)
        sums = self._forward(model, indices, views.to(model.device), attributes, self.summed, rng)
        losses = {name: sums[name] * factor for name, factor in zip(OBJECTIVES, scale.tolist(), strict=True)}
        joint_loss(losses, self.config).backward()
        return collect(self.model, model, rows, torch.stack([losses[name].detach().float() for name in OBJECTIVES]))

    def _forward(
        self,
        model: S3Rec,
        indices: np.ndarray,
        views: Views,
        attributes: Tensor,
        config: PretrainConfig,
        rng: np.random.Generator,
    ) -> dict[str, Tensor]:
        owners = self.sampler.owners(indices, model.device)
        with arithmetic(config.precision, model.device):
            return pretraining_losses(
                model, views, attributes, config, owners=owners, candidates=self.candidates, rng=rng
            )

    def batches(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One epoch's batches of prefixes."""
        return self.sampler.epoch(rng)

    def summary(self, totals: list[float], num_batches: int, history: list[dict[str, float]]) -> dict[str, float]:
        """Mean loss of each objective per sequence (per batch with ``reduction="mean"``), and their weighted sum."""
        count = num_batches if self.config.reduction == "mean" else len(self.sampler)
        means = {name: total / max(count, 1) for name, total in zip(OBJECTIVES, totals, strict=True)}
        joint = sum(self.config.weights[name] * means[name] for name in OBJECTIVES)
        return {**means, "loss": joint, "sequences": len(self.sampler)}

    def is_best(self, history: list[dict[str, float]]) -> bool:
        """Whether no earlier epoch had a lower loss."""
        return all(history[-1]["loss"] <= earlier["loss"] for earlier in history)

    def is_over(self, history: list[dict[str, float]]) -> bool:
        """Pre-training never stops early."""
        return False
