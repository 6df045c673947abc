"""One step of pre-training: views of a batch, four losses, one step of the optimizer (section 4.4).

Plain twin: `s3rec_lite.plain.PlainTrainer`.
"""

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData
from s3rec_lite.model import S3Rec
from s3rec_lite.objectives import joint_loss, pretraining_losses
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from s3rec_lite.support.optimizer import check_finite, make_optimizer
from s3rec_lite.support.runtime import arithmetic
from s3rec_lite.views import ViewSampler


class PretrainStep:
    """The stage of pre-training that `s3rec_lite.training` runs; ``step`` may be called by itself as well."""

    name = "pretrain"
    num_losses = len(OBJECTIVES)

    def __init__(self, model: S3Rec, data: SequenceData, config: PretrainConfig, sampler: ViewSampler):
        self.model, self.config, self.sampler = model, config, sampler
        self.attributes = data.attributes.to(model.device)
        self.candidates = torch.from_numpy(sampler.negatives.candidates).to(model.device)
        self.optimizer = make_optimizer(model, config.learning_rate, config.weight_decay)

    def losses(self, indices: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The four losses of the prefixes ``indices``, with dropout."""
        views = self.sampler.batch(indices, rng).to(self.model.device)
        owners = self.sampler.owners(indices, self.model.device)
        with arithmetic(self.config.precision, self.model.device):
            return pretraining_losses(
                self.model, views, self.attributes, self.config, owners=owners, candidates=self.candidates, rng=rng
            )

    def step(self, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Train on one batch; returns the four losses [4], detached. Raises TrainingError when one is not finite."""
        losses = self.losses(indices, rng)
        total = joint_loss(losses, self.config)
        if not torch.isfinite(total):
            check_finite(losses, self.config.learning_rate)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        return torch.stack([losses[name].detach().float() for name in OBJECTIVES])

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
