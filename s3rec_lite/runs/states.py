"""What a checkpoint holds, checked before it is used: fingerprint, weights, optimizer state, history.

All functions raise ValueError with a few words on what is wrong. A state of other shapes is not only wrong: the fused
Adam reads past the end of a buffer that is too short.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from s3rec_lite.model import S3Rec
from s3rec_lite.support.config import ModelConfig

_ADAM_STATE = {"step", "exp_avg", "exp_avg_sq"}
_HOW_NOT_WHAT = ("foreach", "fused", "capturable", "differentiable", "params")
"""entries of a parameter group that choose an implementation, which may differ from one machine to another"""


def content_fingerprint(content: Any) -> str:
    """A SHA-256 of nested dicts, lists, tensors and plain values, in their order: equal if every bit is."""
    digest = hashlib.sha256()
    _feed(digest, content)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{value.dtype}{list(value.shape)}:".encode())
        digest.update(flat.view(torch.uint8).numpy().data)
    elif isinstance(value, Mapping):
        digest.update(f"dict{len(value)}:".encode())
        for pair in value.items():
            for part in pair:
                _feed(digest, part)
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__}{len(value)}:".encode())
        for part in value:
            _feed(digest, part)
    else:
        text = f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
        digest.update(f"{len(text)}:".encode() + text)


class _Outline(S3Rec):
    """The model without numbers, on PyTorch's meta device."""

    def reset_parameters(self, seed: int) -> None:
        """There are no weights to draw."""


def outline(num_items: int, num_attributes: int, config: ModelConfig) -> dict[str, Tensor]:
    """The weights of a model without their numbers: names and shapes, for no memory however large it is."""
    with torch.device("meta"):
        return _Outline(num_items, num_attributes, config).state_dict()


def check_weights(expected: Mapping[str, Tensor], found: Any) -> None:
    """The names, shapes and kinds of numbers of ``expected``, and no NaN or infinite value."""
    if not isinstance(found, Mapping):
        raise ValueError(f"the weights are a {type(found).__name__}")
    other = sorted(map(str, expected.keys() ^ found.keys()))
    if other:
        raise ValueError(f"{len(other)} names of weights are missing or unknown, one is {other[0]}")
    for name, wanted in expected.items():
        _check_tensor(name, found[name], wanted.shape)


def _check_tensor(name: str, value: Any, shape: torch.Size) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point() or value.layout != torch.strided:
        raise ValueError(f"{name} is no dense tensor of fractional numbers")
    if value.shape != shape:
        raise ValueError(f"{name} has sizes {list(value.shape)} instead of {list(shape)}")
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} holds NaN or infinite values")


def check_history(history: Any, epochs: Any, columns: Iterable[str]) -> None:
    """One row for each of ``epochs`` epochs, of finite numbers under equal names, ``columns`` among these."""
    if not isinstance(history, list) or not history or epochs != len(history) or isinstance(epochs, bool):
        raise ValueError("the history does not fit the number of epochs")
    for number, row in enumerate(history, start=1):
        if not isinstance(row, dict) or row.keys() != history[0].keys() or not {"epoch", *columns} <= row.keys():
            raise ValueError(f"row {number} of the history lacks a column")
        if not all(type(value) in (int, float) and math.isfinite(value) for value in row.values()):
            raise ValueError(f"row {number} of the history holds something that is no number")
        if row["epoch"] != number:
            raise ValueError(f"row {number} of the history is of epoch {row['epoch']}")


def load_optimizer(optimizer: Any, state: Any) -> None:
    """``optimizer.load_state_dict(state)``, checked first.

    ``optimizer`` is one of PyTorch's, or an object with the same two methods that has some of these as attributes.
    """
    _check_layout(optimizer.state_dict(), state, "optimizer")
    handles = [each.register_load_state_dict_pre_hook(_check_torch_state) for each in _torch_optimizers(optimizer)]
    try:
        optimizer.load_state_dict(state)
    finally:
        for handle in handles:
            handle.remove()


def _torch_optimizers(value: Any) -> Iterator[torch.optim.Optimizer]:
    if isinstance(value, torch.optim.Optimizer):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _torch_optimizers(each)
    elif isinstance(value, dict):
        yield from _torch_optimizers(list(value.values()))
    elif hasattr(value, "load_state_dict") and not isinstance(value, torch.nn.Module):
        yield from _torch_optimizers(list(vars(value).values()))


def _check_layout(fresh: Any, found: Any, place: str) -> None:
    """The parts of a fresh optimizer's state; what PyTorch fills only in training is left to `_check_torch_state`."""
    if isinstance(fresh, Tensor):
        _check_tensor(place, found, fresh.shape) if fresh.is_floating_point() else None
        if not isinstance(found, Tensor) or (found.shape, found.dtype) != (fresh.shape, fresh.dtype):
            raise ValueError(f"{place} is of another kind")
    elif type(found) is not type(fresh):
        raise ValueError(f"{place} is a {type(found).__name__} instead of a {type(fresh).__name__}")
    elif isinstance(fresh, dict):
        if found.keys() != fresh.keys():
            raise ValueError(f"{place} has other parts")
        if "param_groups" not in fresh:
            for name, part in fresh.items():
                _check_layout(part, found[name], f"{place}.{name}")
    elif isinstance(fresh, list | tuple):
        if len(found) != len(fresh):
            raise ValueError(f"{place} has another length")
        for number, pair in enumerate(zip(fresh, found, strict=True)):
            _check_layout(*pair, f"{place}[{number}]")


def _check_torch_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """A hook that runs before the optimizer takes a state: the same groups, and entries that fit the parameters.

    Returns the state with this machine's groups, which choose the implementation.
    """
    groups, stored = optimizer.state_dict()["param_groups"], state.get("param_groups")
    if not isinstance(stored, list) or len(stored) != len(groups):
        raise ValueError("the optimizer has other groups of parameters")
    for wanted, group in zip(groups, stored, strict=True):
        if not isinstance(group, dict) or not {"lr", "params"} <= group.keys() <= wanted.keys():
            raise ValueError("a group of the optimizer has other settings")
        if _plain(group["params"]) != _plain(wanted["params"]):
            raise ValueError("a group of the optimizer has other parameters")
        other = [n for n in group if n not in _HOW_NOT_WHAT and _plain(group[n]) != _plain(wanted[n])]
        if other:
            raise ValueError(f"the optimizer was made with another {other[0]}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = [number for group in groups for number in group["params"]]
    entries = state.get("state")
    if not isinstance(entries, dict) or any(type(number) is not int for number in entries):
        raise ValueError("the optimizer's state is not numbered by parameters")
    if not entries.keys() <= set(numbers):
        raise ValueError("the optimizer's state is of parameters that are not there")
    for number, parameter in zip(numbers, parameters, strict=True):
        if number in entries:
            _check_entry(optimizer, f"optimizer.state[{number}]", entries[number], parameter)
    return {"state": entries, "param_groups": groups}


def _plain(value: Any) -> str:
    """Values of equal type and content give equal texts; a comparison of tensors would give a tensor."""
    return f"{type(value).__name__} {value!r}"


def _check_entry(optimizer: torch.optim.Optimizer, place: str, entry: Any, parameter: Tensor) -> None:
    """The state of one parameter: its steps, and tensors of its own shape and kind."""
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"{place} is empty")
    if "betas" in optimizer.defaults and entry.keys() != _ADAM_STATE:
        raise ValueError(f"{place} has other parts than {', '.join(sorted(_ADAM_STATE))}")
    for name, value in entry.items():
        if name == "step":
            number = value.item() if isinstance(value, Tensor) and value.shape == () else value
            if type(number) not in (int, float) or not 1 <= number < 2**53 or number % 1:
                raise ValueError(f"{place}.step is no number of steps")
            if isinstance(value, Tensor) and value.dtype != torch.float32:
                raise ValueError(f"{place}.step is a {value.dtype}")
        else:
            _check_tensor(f"{place}.{name}", value, parameter.shape)
            if value.dtype != parameter.dtype:
                raise ValueError(f"{place}.{name} is a {value.dtype} instead of a {parameter.dtype}")
