"""Dropout drawn from a generator that is passed in, and cheap on a CPU.

PyTorch draws one Bernoulli number for every element, which costs up to a quarter of a training step on a CPU. Here
one random byte (one random bit where p is 1/2) decides an element, so p moves in steps of 1/256; what is kept is
scaled by the exact share that is kept, so the expectation is that of ordinary dropout.
"""

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.support.config import ModelConfig


def keep_mask(num_elements: int, threshold: int, rng: np.random.Generator) -> Tensor:
    """Float mask [num_elements] on the CPU: 1 / share where kept, else 0. ``threshold`` / 256 is dropped."""
    if threshold == 128:
        words = rng.integers(0, 2**64, size=-(-num_elements // 64), dtype=np.uint64)
        keep = np.unpackbits(words.view(np.uint8))
    else:
        words = rng.integers(0, 2**64, size=-(-num_elements // 8), dtype=np.uint64)
        keep = (words.view(np.uint8) >= threshold).view(np.uint8)
    return torch.from_numpy(keep[:num_elements]).float().mul_(256 / (256 - threshold))


class RandomDropout:
    """The dropout of one forward pass: hidden states and attention weights, each with its own probability.

    ``rng=None`` switches it off (evaluation). On an accelerator the mask is drawn there by a torch generator
    seeded from ``rng``, because moving masks costs more than drawing them.
    """

    def __init__(self, config: ModelConfig, rng: np.random.Generator | None):
        self.rng = rng
        self.hidden_threshold = min(round(config.hidden_dropout_prob * 256), 255)
        self.attention_threshold = min(round(config.attn_dropout_prob * 256), 255)
        self._device_generator: torch.Generator | None = None

    def hidden(self, x: Tensor) -> Tensor:
        """Hidden states, any shape."""
        mask = self._mask(x, self.hidden_threshold)
        return x if mask is None else x * mask

    def attention(self, x: Tensor) -> Tensor:
        """Attention weights, any shape."""
        mask = self._mask(x, self.attention_threshold)
        return x if mask is None else x * mask

    def add(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + dropout(x) in one pass over the memory."""
        mask = self._mask(x, self.hidden_threshold)
        return residual + x if mask is None else torch.addcmul(residual, x, mask)

    def _mask(self, x: Tensor, threshold: int) -> Tensor | None:
        if self.rng is None or threshold == 0:
            return None
        if x.device.type == "cpu":
            return keep_mask(x.numel(), threshold, self.rng).view(x.shape).to(x.dtype)
        return self._device_mask(x, threshold)

    def _device_mask(self, x: Tensor, threshold: int) -> Tensor:
        if self._device_generator is None:
            self._device_generator = torch.Generator(device=x.device)
            self._device_generator.manual_seed(int(self.rng.integers(0, 2**62)))
        keep = 1 - threshold / 256
        return torch.empty_like(x).bernoulli_(keep, generator=self._device_generator).div_(keep)
