"""Start the processes that share a run on this machine, or join those that ``torchrun`` started on several.

The caller is worker 0 and keeps files, messages and bars. The others are ``python -m s3rec_lite.runs.processes``:
they get model, data and settings through their standard input, and end when it closes, however the caller ended.
"""

import contextlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

from s3rec_lite import training
from s3rec_lite.support.config import FinetuneConfig, PretrainConfig
from s3rec_lite.support.errors import S3RecError, TrainingError
from s3rec_lite.support.workers import WorkerLost, Workers

_SMALL = 50_000
"""samples of a whole run below which other processes cost more than they save"""
_BACKEND = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
_PATIENCE = timedelta(hours=6)  # a worker may wait while another one ranks or saves; a dead one is noticed at once


def under_torchrun() -> bool:
    """Whether ``torchrun`` started this process."""
    return distributed.is_torchelastic_launched()


def rank() -> int:
    """This process's number among those that ``torchrun`` started; 0 without it."""
    return int(os.environ["RANK"]) if under_torchrun() else 0


def choose_workers(config: PretrainConfig | FinetuneConfig, num_samples: int, device: str = "cpu") -> int:
    """One worker a free core, at most one a shard; one where the run is short, or on an accelerator."""
    if num_samples * config.epochs < _SMALL or device != "cpu":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(cores, config.shards)
    return 1 << (workers.bit_length() - 1)  # a power of two, as the shards


@contextlib.contextmanager
def shared_by(num_workers: int, stage: str, model: Any, data: Any, config: Any) -> Iterator[Workers]:
    """This process as one of the workers of a stage, "pretrain" or "finetune"; the others run while the context lasts.

    Raises TrainingError with the other's last words as soon as an exchange finds another worker gone.
    """
    if under_torchrun():
        with _group(rank(), int(os.environ["WORLD_SIZE"])) as workers:
            yield workers
        return
    if num_workers == 1:
        yield Workers()
        return
    Workers(0, num_workers).check(config.shards)
    content = io.BytesIO()
    torch.save((stage, model, data, config), content)
    store = distributed.TCPStore("127.0.0.1", 0, num_workers, is_master=True, wait_for_workers=False)
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(_Other(rank, num_workers, store.port)) for rank in range(1, num_workers)]
        for other in others:
            other.send(content.getvalue())
        try:
            yield stack.enter_context(_group(0, num_workers, store))
        except TrainingError as error:
            if not isinstance(error, WorkerLost) and not isinstance(error.__cause__, WorkerLost):
                raise
            raise TrainingError(next(filter(None, (other.last_words() for other in others)), str(error))) from error


@contextlib.contextmanager
def _group(rank: int, size: int, store: Any = None) -> Iterator[Workers]:
    """Membership in the process group, with one thread a process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    joined = not distributed.is_initialized()
    if joined:
        distributed.init_process_group(_BACKEND, store=store, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield Workers(rank, size)
    finally:
        if joined:
            distributed.destroy_process_group()
        torch.set_num_threads(threads)


class _Other:
    """Another worker on this machine. It never outlives the context."""

    def __init__(self, rank: int, size: int, port: int):
        self.rank, self.size = rank, size
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the context ends
        command = [sys.executable, "-m", "s3rec_lite.runs.processes", str(rank), str(size), str(port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self.errors
        )
        assert self.process.stdin is not None  # it was asked for
        self.pipe = self.process.stdin

    def __enter__(self) -> "_Other":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            self.pipe.close()
        self.errors.close()

    def send(self, content: bytes) -> None:
        """Give it its work; the pipe stays open as the sign that this process lives."""
        with contextlib.suppress(BrokenPipeError):  # it is gone: the first exchange says so
            self.pipe.write(len(content).to_bytes(8, "little") + content)
            self.pipe.flush()

    def last_words(self) -> str:
        """Why it ended, in one line; empty while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(timeout=10)
            self.errors.seek(0)
            lines = self.errors.read().decode(errors="replace").strip().splitlines()
            reason = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
            return f"worker {self.rank} of {self.size} ended ({'; '.join([reason, *lines[-1:]])})"
        return ""


def _serve(rank: int, size: int, port: int) -> None:
    """What another worker does: take the work, do it, and end at once when worker 0 is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; worker 0 decides
    pipe = sys.stdin.buffer
    content = pipe.read(int.from_bytes(pipe.read(8), "little"))

    def end_with_the_caller() -> None:
        os.read(0, 1)  # returns when worker 0 is gone
        os._exit(1)

    threading.Thread(target=end_with_the_caller, daemon=True).start()
    stage, model, data, config = torch.load(io.BytesIO(content), weights_only=False)  # from worker 0, not from a file
    store = distributed.TCPStore("127.0.0.1", port, size, is_master=False)
    train: Any = training.pretrain if stage == "pretrain" else training.finetune
    try:
        with _group(rank, size, store) as workers:
            train(model, data, config, workers=workers)
    except S3RecError as error:  # worker 0 shows it, unless it has the same one itself
        sys.exit(str(error))


if __name__ == "__main__":
    _serve(*(int(argument) for argument in sys.argv[1:]))
