"""Workers: any number of processes gives the same weights, and none outlives the run or leaves it hanging."""

import copy
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import short_pretraining, tiny_config

import s3rec_lite as s3
from s3rec_lite import FinetuneConfig, PretrainConfig, S3Rec, SettingError, TrainingError, training
from s3rec_lite.datasets import planted
from s3rec_lite.evaluation import draw_negatives, full_ranks, sampled_ranks
from s3rec_lite.runs import processes, sessions
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.workers import WorkerLost, Workers

DATA = planted(num_users=61, length=8, num_items=20, num_groups=4)  # uneven last batches
pytestmark = pytest.mark.training


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def new_model(seed: int = 0) -> S3Rec:
    config = tiny_config(hidden_dropout_prob=0.2, attn_dropout_prob=0.2)
    return S3Rec(DATA.num_items, DATA.num_attributes, config, seed=seed)


def short_finetuning(**changes) -> FinetuneConfig:
    return FinetuneConfig(**{"epochs": 2, "batch_size": 13, "learning_rate": 0.003, **changes})


class Threads(Workers):
    """Workers in the threads of one process: what they say to each other goes through a list."""

    def __init__(self, rank: int, size: int, barrier: threading.Barrier, board: list):
        super().__init__(rank, size)
        self.barrier, self.board = barrier, board

    def _gather(self, values):
        return [part.clone() for part in self._meet(values)]

    def from_first(self, content):
        return copy.deepcopy(self._meet(copy.deepcopy(content))[0])

    def _meet(self, content):
        self.board[self.rank] = content
        self.barrier.wait(timeout=60)
        everything = list(self.board)
        self.barrier.wait(timeout=60)
        return everything


def in_threads(size: int, work) -> list:
    """``work(workers)`` in that many threads; their results. An error of one ends all."""
    barrier, board, results = threading.Barrier(size), [None] * size, [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(Threads(rank, size, barrier, board))
        except BaseException as error:
            results[rank] = error
            barrier.abort()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def trained(train, config, size: int) -> str:
    """The fingerprint of the weights after training with that many workers; the same in all of them."""

    def work(workers: Workers) -> str:
        model = new_model()
        train(model, DATA, config, workers=workers)
        return weights_fingerprint(model)

    prints = set(in_threads(size, work))
    assert len(prints) == 1, "the workers drifted apart"
    return prints.pop()


class TestSameWeights:
    @pytest.mark.parametrize("form", ["authors", "pairwise", "infonce", "bce"])
    @pytest.mark.parametrize("reduction", ["sum", "mean"])
    def test_pretraining_in_every_form(self, form, reduction):
        forms = {f"{name}_form": form for name in OBJECTIVES}
        config = short_pretraining(epochs=2, batch_size=50, shards=4, reduction=reduction, **forms)
        assert trained(training.pretrain, config, 1) == trained(training.pretrain, config, 2)
        assert trained(training.pretrain, config, 1) == trained(training.pretrain, config, 4)

    @pytest.mark.parametrize(
        "changes",
        [
            {"segment_negatives": "batch"},
            {"segment_negatives": "leaky", "negative_items": "all", "attribute_column_zero": True},
            {"aap_view": "item", "negatives_avoid": "prefix", "skip_single_items": False},
            {"sp_weight": 0.0, "map_weight": 0.0},
            {"item_gradients": "sparse"},
            {"sp_form": "infonce", "bounded_critic": True, "prefixes": "recbole"},
            {"batch_size": 3, "shards": 4, "length_window": 0},  # shards without a sequence
        ],
        ids=lambda changes: "-".join(changes),
    )
    def test_pretraining_with_other_settings(self, changes):
        config = short_pretraining(**{"epochs": 1, "batch_size": 50, **changes})
        assert trained(training.pretrain, config, 1) == trained(training.pretrain, config, 2)

    @pytest.mark.parametrize(
        "changes",
        [
            {"loss": "ce"},
            {"loss": "ce", "special_candidates": True, "monitor_protocol": "authors"},
            {"loss": "bpr", "item_gradients": "sparse"},
            {"loss": "bce", "samples": "prefixes"},
            {"loss": "ce", "num_negatives": 6, "item_gradients": "sparse"},
            {"loss": "ce", "num_negatives": 6, "negative_distribution": "popularity"},
        ],
        ids=lambda changes: "-".join(changes),
    )
    def test_fine_tuning(self, changes):
        config = short_finetuning(shards=4, **changes)
        prints = {trained(training.finetune, config, size) for size in (1, 2, 4)}
        assert len(prints) == 1

    def test_the_number_of_shards_is_part_of_the_run(self):
        one, two = (trained(training.pretrain, short_pretraining(epochs=1, shards=shards), 1) for shards in (1, 2))
        assert one != two

    @pytest.mark.parametrize("split", ["valid", "test"])
    def test_ranks(self, split):
        model = new_model()
        negatives = draw_negatives(DATA, split, 5)
        alone = (
            full_ranks(model, DATA, split, batch_size=7),
            sampled_ranks(model, DATA, split, negatives, batch_size=7),
        )
        both = in_threads(
            2,
            lambda workers: (
                full_ranks(new_model(), DATA, split, batch_size=7, workers=workers),
                sampled_ranks(new_model(), DATA, split, negatives, batch_size=7, workers=workers),
            ),
        )
        for found in both:
            for expected, ranks in zip(alone, found, strict=True):
                for name in ("greater", "ties", "num_candidates"):
                    assert np.array_equal(getattr(expected, name), getattr(ranks, name))

    def test_the_users_of_a_bar_add_up(self):
        done = []
        in_threads(
            2,
            lambda workers: full_ranks(
                new_model(), DATA, batch_size=7, workers=workers, on_users=None if workers.rank else done.append
            ),
        )
        assert sum(done) == DATA.num_users


class TestProcesses:
    @pytest.mark.parametrize(
        ("stage", "config"),
        [("pretrain", short_pretraining(epochs=4, shards=4)), ("finetune", short_finetuning(epochs=4, shards=4))],
    )
    def test_a_run_may_go_on_with_another_number_of_workers(self, stage, config, tmp_path):
        from dataclasses import replace

        train = getattr(s3, stage)
        alone, together = new_model(), new_model()
        expected = train(alone, DATA, config, device="cpu", progress=False)
        for epochs, workers in ((1, 2), (3, 4), (4, 1)):
            together, part = new_model(), replace(config, epochs=epochs)
            found = train(together, DATA, part, device="cpu", progress=False, folder=tmp_path, workers=workers)
        assert weights_fingerprint(together) == weights_fingerprint(alone)
        assert found.drop(columns="seconds").equals(expected.drop(columns="seconds"))

    def test_a_worker_that_dies_ends_the_run_with_one_line(self, tmp_path):
        def kill_the_other(step: training.Step) -> None:
            if step.epoch == 2:
                for child in children_of(os.getpid()):
                    if b"s3rec_lite.runs.processes" in Path(f"/proc/{child}/cmdline").read_bytes():
                        os.kill(child, signal.SIGKILL)

        started = sessions.started_run(
            "pretrain", "S3Rec-planted", new_model(), DATA, short_pretraining(), tmp_path, restart=False
        )
        model, begin = new_model(), time.monotonic()
        with (
            pytest.raises(TrainingError, match=r"worker 1 of 2 ended \(signal SIGKILL\)") as caught,
            started as run,
            processes.shared_by(2, "pretrain", model, DATA, short_pretraining()) as workers,
        ):
            training.pretrain(model, DATA, short_pretraining(), keeper=run, on_step=kill_the_other, workers=workers)
        assert time.monotonic() - begin < 60
        assert "\n" not in str(caught.value)
        assert run.num_epochs == 1

        resumed, straight = new_model(), new_model()
        s3.pretrain(resumed, DATA, short_pretraining(), device="cpu", progress=False, folder=tmp_path)
        s3.pretrain(straight, DATA, short_pretraining(), device="cpu", progress=False)
        assert weights_fingerprint(resumed) == weights_fingerprint(straight)

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
    def test_the_others_end_with_the_first(self, how, tmp_path):
        words = ["pretrain", "--data", "toy", "--epochs", "5000", "--workers", "2", "--output", str(tmp_path)]
        # A parent shell may have told its children to ignore Ctrl-C, as nohup does.
        code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from s3rec_lite.commands.cli import main; main()"
        first = subprocess.Popen(
            [sys.executable, "-c", code, *words, "--no-progress"], stderr=subprocess.PIPE, text=True
        )
        other = wait_for(lambda: children_of(first.pid), 60)[0]
        wait_for(lambda: list(tmp_path.glob("*last.pth")), 120)
        first.send_signal(how)
        _, said = first.communicate(timeout=30)
        assert first.returncode == {signal.SIGINT: 130}.get(how, -how)
        assert len(said.splitlines()) <= 1
        wait_for(lambda: not alive(other), 10)

    def test_an_error_of_a_worker_is_told(self):
        data = planted(num_users=2, length=8, num_items=20, num_groups=4)
        short = short_pretraining(batch_size=2)
        model = S3Rec(data.num_items, data.num_attributes, tiny_config())
        with (
            pytest.raises(TrainingError, match="worker 1 of 2 ended .exit status 1; the model has 20 items"),
            processes.shared_by(2, "pretrain", model, planted(num_users=4, num_items=40, num_groups=4), short) as both,
        ):
            training.pretrain(model, data, short, workers=both)


def children_of(parent: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def alive(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds: float):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


class TestChoice:
    def test_no_more_workers_than_shards_or_cores(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
        chosen = [processes.choose_workers(PretrainConfig(shards=shards), 10**6) for shards in (1, 2, 4, 8)]
        assert chosen == [1, 2, 4, 4]

    def test_short_runs_and_accelerators_have_one(self):
        assert processes.choose_workers(PretrainConfig(epochs=1), 1000) == 1
        assert processes.choose_workers(PretrainConfig(), 10**6, "cuda") == 1

    def test_shards_that_cannot_be_shared_are_refused(self):
        with pytest.raises(SettingError, match="3 workers cannot share the 2 shards"):
            s3.pretrain(new_model(), DATA, short_pretraining(), device="cpu", progress=False, workers=3)
        with pytest.raises(SettingError, match="shards=3 is not a power of two"):
            PretrainConfig(shards=3)

    def test_sparse_gradients_are_refused_where_they_would_be_wrong(self):
        with pytest.raises(SettingError, match="weight_decay"):
            PretrainConfig(item_gradients="sparse", weight_decay=0.1)
        with pytest.raises(SettingError, match="mip_form"):
            PretrainConfig(item_gradients="sparse", mip_form="infonce")
        with pytest.raises(SettingError, match="softmax over all items"):
            FinetuneConfig(item_gradients="sparse")


def test_sparse_gradients_leave_resting_items_alone():
    """Items that no prefix, segment or negative touches keep their vectors; with dense ones Adam's momentum acts."""
    config = short_pretraining(epochs=1, item_gradients="sparse")
    model = new_model()
    before = model.item_embeddings.weight.detach().clone()
    training.pretrain(model, DATA, config)
    moved = (model.item_embeddings.weight != before).any(dim=1)
    assert moved[1:-1].any()
    assert not moved[0]


def test_a_lost_worker_is_a_training_error():
    assert issubclass(WorkerLost, TrainingError)
