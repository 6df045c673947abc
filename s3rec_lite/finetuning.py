"""One step of fine-tuning: the causal encoder learns to rank the next item (section 4.4, equation 18).

Plain twin of the loss: `s3rec_lite.plain.next_item_loss`.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from s3rec_lite.data import SequenceData, pad_left, training_mask
from s3rec_lite.evaluation import draw_negatives, full_ranks, sampled_ranks
from s3rec_lite.metrics import expected_metric
from s3rec_lite.model import S3Rec
from s3rec_lite.negatives import NegativeItems
from s3rec_lite.support.config import FinetuneConfig
from s3rec_lite.support.early_stopping import best_epoch, should_stop
from s3rec_lite.support.errors import DataError, S3RecError, SettingError, TrainingError
from s3rec_lite.support.fast import batch_order, like_lengths
from s3rec_lite.support.gradients import Gradients, TouchedItems, collect, cut, empty, total
from s3rec_lite.support.optimizer import Optimizer, check_finite
from s3rec_lite.support.runtime import arithmetic
from s3rec_lite.support.softmax import SharedDraw, SharedNegatives, full_softmax_loss, sampled_softmax_loss
from s3rec_lite.support.workers import ALONE, Workers
from s3rec_lite.views import list_prefixes


class NextItemSamples:
    """Inputs and targets of fine-tuning.

    "sequences": one sample a user, the training items but the last, with the following item as target everywhere.
    "prefixes": one sample for each training target, with a target at the newest position only.
    """

    def __init__(self, data: SequenceData, config: FinetuneConfig, max_length: int):
        self.items, self.max_length = data.items, max_length
        starts, ends = data.offsets[:-1], data.history_ends("train")  # training items of each user
        if config.samples == "sequences":
            users = np.flatnonzero(ends - starts >= 2)
            self.ends = ends[users] - 1
        else:
            users, _, self.ends = list_prefixes(data, max_length, "recbole")
        if not len(users):
            raise DataError(f"{data.name}: no user has two training items (four interactions): nothing to fine-tune on")
        self.users = users
        self.starts = np.maximum(starts[users], self.ends - max_length)
        self.lengths = self.ends - self.starts
        self.last_only = config.samples == "prefixes"
        self.negatives = None
        if config.loss != "ce":
            self.negatives = NegativeItems(data, config.negative_items, config.negatives_avoid)

    def __len__(self) -> int:
        return len(self.users)

    def batch(self, indices: np.ndarray, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
        """Inputs, targets and negatives [B, L], padded on the left with 0; negatives are None for "ce"."""
        starts, ends = self.starts[indices], self.ends[indices]
        width = int((ends - starts).max())
        inputs = pad_left(self.items, starts, ends, width)  # [B, L]
        targets = pad_left(self.items, starts + 1, ends + 1, width)
        if self.last_only:
            targets[:, :-1] = 0
        if self.negatives is None:
            return torch.from_numpy(inputs), torch.from_numpy(targets), None
        negatives = np.zeros_like(targets)
        rows, columns = np.nonzero(targets)
        negatives[rows, columns] = self.negatives.draw(self.users[indices][rows], rng)
        return torch.from_numpy(inputs), torch.from_numpy(targets), torch.from_numpy(negatives)

    def num_targets(self, indices: np.ndarray) -> int:
        """Positions with a target in a batch."""
        return len(indices) if self.last_only else int(self.lengths[indices].sum())


def next_item_loss(
    model: S3Rec,
    inputs: Tensor,
    targets: Tensor,
    negatives: Tensor | None,
    config: FinetuneConfig,
    rng: np.random.Generator | None = None,
    shared: SharedDraw | None = None,
) -> Tensor:
    """The sum of the loss over all positions with a target, in nats; inputs, targets, negatives [B, L].

    Divide by the number of targets for the mean that is minimised. With ``shared``, "ce" is a sampled softmax.
    """
    inputs, targets = inputs.long(), targets.long()
    if config.samples == "prefixes":
        hidden, wanted = model.encode_last(inputs, causal=True, rng=rng), targets[:, -1]  # [B, H]
        negatives = negatives[:, -1] if negatives is not None else None
    else:
        places = targets.flatten().nonzero().squeeze(1)
        hidden = model.encode(inputs, causal=True, rng=rng).flatten(0, 1).index_select(0, places)  # [N, H]
        wanted = targets.flatten()[places]
        negatives = negatives.flatten()[places] if negatives is not None else None
    if shared is not None:
        embeddings = model.item_embeddings(torch.cat([wanted, shared.items]))  # [N + K, H]
        return sampled_softmax_loss(hidden, embeddings, wanted, shared)
    if config.loss == "ce":
        first, last = (0, None) if config.special_candidates else (1, model.num_items + 1)
        return full_softmax_loss(hidden, model.item_embeddings.weight[first:last], wanted - first)
    assert negatives is not None  # of all losses, only "ce" needs none
    positive = (hidden * model.item_embeddings(wanted)).sum(dim=-1)
    negative = (hidden * model.item_embeddings(negatives.long())).sum(dim=-1)
    if config.loss == "bpr":
        return -F.logsigmoid(positive - negative).sum()
    if config.clamped_logs:
        tiny = 1e-24
        return -(torch.log(torch.sigmoid(positive) + tiny) + torch.log(1 - torch.sigmoid(negative) + tiny)).sum()
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative)).sum()


class FinetuneStep:
    """The stage of fine-tuning that `s3rec_lite.training` runs, with early stopping on the validation items."""

    name = "finetune"
    num_losses = 1

    def __init__(self, model: S3Rec, data: SequenceData, config: FinetuneConfig, workers: Workers = ALONE):
        self.model, self.data, self.config, self.workers = model, data, config, workers
        self.samples = NextItemSamples(data, config, model.max_length)
        self.optimizer = Optimizer(model, config)
        self.touched = None if config.touches_all_items else TouchedItems(data.num_items)
        self.shared = SharedNegatives(
            data.items[training_mask(data)], config.num_negatives, config.negative_distribution
        )
        self.num_targets = 0
        self.validation_negatives: np.ndarray | None = None
        if config.monitor_protocol == "sampled":
            try:
                self.validation_negatives = draw_negatives(data, "valid")
            except S3RecError as error:
                raise SettingError(f"monitor_protocol='sampled': {error}; use --monitor-protocol full") from error

    def batches(self, rng: np.random.Generator) -> list[np.ndarray]:
        """One epoch's batches of samples, shuffled."""
        self.num_targets = 0
        return batch_order(self.samples.lengths, self.config.batch_size, 0, rng)

    def step(self, indices: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Train on one batch; returns the sum of its losses [1], detached. Raises TrainingError when not finite."""
        num_targets = self.samples.num_targets(indices)
        shared = self.shared.draw(rng, self.model.device)
        by_length = indices[np.argsort(self.samples.lengths[indices], kind="stable")]
        parts = self.workers.share(cut(by_length, rng, self.config.shards))
        whole = self.workers.total(total([self._gradients(*part, num_targets, shared) for part in parts]))
        loss = whole.shared[-1:]
        check_finite({self.config.loss: loss}, self.config.learning_rate)
        self.optimizer.step(whole)
        if self.model.config.zero_padding_row:  # with special_candidates the softmax reaches this row
            self.model.item_embeddings.weight.data[0] = 0
        self.num_targets += num_targets
        return loss

    def _gradients(
        self, indices: np.ndarray, rng: np.random.Generator, num_targets: int, shared: SharedDraw | None
    ) -> Gradients:
        """Forward and backward pass of one shard, in parts of like length."""
        if not len(indices):
            return empty(self.model, self.touched is not None, num_losses=1)
        chunks = [self.samples.batch(chunk, rng) for chunk in like_lengths(indices, self.samples.lengths)]
        model, rows = self.model, None
        if self.touched:
            model, chunks, shared, rows = self.touched.restrict_chunks(self.model, chunks, shared)
        loss_sum = torch.zeros(1, device=model.device)
        for chunk in chunks:
            inputs, targets = (each.to(model.device) for each in chunk[:2])
            negatives = None if chunk[2] is None else chunk[2].to(model.device)
            with arithmetic(self.config.precision, model.device):
                loss = next_item_loss(model, inputs, targets, negatives, self.config, rng, shared)
            (loss / num_targets).backward()
            loss_sum += loss.detach()
        return collect(self.model, model, rows, loss_sum)

    def summary(self, totals: list[float], num_batches: int, history: list[dict[str, float]]) -> dict[str, float]:
        """Mean loss per target, the monitored metric on the validation items, optimizer steps so far."""
        config = self.config
        try:
            metric = self.validate()
        except (DataError, SettingError):
            raise
        except S3RecError as error:  # finite weights, but so large that the scores are not
            raise TrainingError(f"{error}; lower the learning rate {config.learning_rate:g}") from error
        steps = num_batches + (int(history[-1]["steps"]) if history else 0)
        return {"loss": totals[0] / self.num_targets, config.monitor: metric, "steps": steps}

    def validate(self) -> float:
        """The monitored metric on the validation items."""
        if self.validation_negatives is not None:
            ranks = sampled_ranks(self.model, self.data, "valid", self.validation_negatives, workers=self.workers)
        else:
            seen = "zero" if self.config.monitor_protocol == "authors" else "remove"
            ranks = full_ranks(self.model, self.data, "valid", seen=seen, workers=self.workers)
        return float(expected_metric(ranks, self.config.monitor).mean())

    def is_best(self, history: list[dict[str, float]]) -> bool:
        """Whether no earlier epoch had a validation value as high."""
        return best_epoch(history, self.config.monitor) == len(history)

    def is_over(self, history: list[dict[str, float]]) -> bool:
        """Whether early stopping says so."""
        return should_stop(history, self.config)
