"""Killed at any moment and called again, training ends with the same bits as if nothing had happened.

A worker process forks a child for each attempt; the child trains and is killed with SIGKILL, by itself at a chosen
operation or by the worker after a random time. No handler runs then and nothing is tidied up.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import tiny_config
from tqdm import tqdm

import s3rec_lite as s3
from s3rec_lite import FinetuneConfig, PretrainConfig, S3Rec
from s3rec_lite.datasets import planted
from s3rec_lite.runs.checkpoints import load_model, weights_fingerprint

pytestmark = pytest.mark.training

EPOCHS = 3
STAGES = ("pretrain", "finetune")


def train(stage: str, folder, epochs: int = EPOCHS, progress: bool = False) -> S3Rec:
    """One small run; the same call starts it and takes it up."""
    data = planted(num_users=24, length=6, num_items=20, num_groups=4)
    dropout = {"hidden_dropout_prob": 0.5, "attn_dropout_prob": 0.2}
    model = S3Rec(data.num_items, data.num_attributes, tiny_config(**dropout))
    options = {"device": "cpu", "folder": folder, "progress": progress}
    if stage == "pretrain":
        s3.pretrain(model, data, PretrainConfig(epochs=epochs, batch_size=32, save_step=2), **options)
    else:
        # The rate is so high that the best epoch is not the last one.
        config = FinetuneConfig(
            epochs=epochs,
            batch_size=8,
            save_step=2,
            loss="bce",
            learning_rate=0.1,
            monitor="MRR",
            patience=2,
            min_steps=9,
        )
        s3.finetune(model, data, config, **options)
    return model


def count_down(owner, name: str, moment: int, after: bool) -> list[int]:
    """Kill this process at the ``moment``-th call of ``owner.name``, before or after the call itself."""
    plain, calls = getattr(owner, name), [0]

    def counted(*args, **kwargs):
        calls[0] += 1
        if calls[0] == moment and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*args, **kwargs)
        if calls[0] == moment and after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counted)
    return calls


OPERATIONS = {"step": (torch.optim.Adam, "step"), "fsync": (os, "fsync"), "replace": (os, "replace")}
KILLS = (("step", False), ("fsync", False), ("replace", False), ("replace", True))


def attempt(stage: str, folder: str, kill=None, seconds: float | None = None) -> str:
    """Run in a child: "done", or "killed" at ``kill`` = (operation, n-th call, after) or after ``seconds``."""
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(60)  # a child that hangs ends here, and the assertion below names the signal
        try:
            if kill is not None:
                operation, moment, after = kill
                count_down(*OPERATIONS[operation], moment, after)
            model = train(stage, folder)
            (Path(folder) / "result.json").write_text(json.dumps(weights_fingerprint(model)))
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f"the child failed with status {status}"
    return "done"


def worker(stage: str, root: str) -> None:
    """All attempts of one stage; prints one JSON line a run: its kills, result, files and history."""

    def hidden(folder) -> list[str]:
        """Half-written files, probes and locks."""
        return [path.name for path in Path(folder).iterdir() if path.name.startswith(".")]

    def report(name: str, kills: list, left: list[str]) -> None:
        folder = Path(root) / name
        table = pd.read_csv(next(folder.glob("*-history.csv"))).drop(columns="seconds")
        files = sorted(path.name for path in folder.iterdir() if path.suffix in (".pth", ".csv"))
        weights = {path.name: weights_fingerprint(load_model(path)) for path in sorted(folder.glob("*.pth"))}
        result = json.loads((folder / "result.json").read_text())
        row = {"name": name, "kills": kills, "result": result, "files": files, "weights": weights}
        print(json.dumps({**row, "history": table.to_csv(), "left": left, "hidden": hidden(folder)}), flush=True)

    def folder_of(name: str) -> str:
        os.makedirs(Path(root) / name)
        return str(Path(root) / name)

    tqdm.monitor_interval = 0  # its thread might hold a lock at the moment of a fork
    train(stage, None, epochs=0)  # what is imported and built here need not be in every child
    whole = folder_of("whole")
    begin = time.perf_counter()
    assert attempt(stage, whole) == "done"
    duration = time.perf_counter() - begin
    report("whole", [], [])
    for operation, after in KILLS:
        moment = 1
        while True:  # every call there is, one run each
            name = f"{operation}-{moment}-{'after' if after else 'before'}"
            folder = folder_of(name)
            if attempt(stage, folder, kill=(operation, moment, after)) == "done":
                break
            left = hidden(folder)
            attempt(stage, folder)
            report(name, [[operation, moment, after]], left)
            moment += 1
    rng = random.Random(0)
    for number in range(4):  # several kills in one run, whenever they come
        name, kills, left = f"random-{number}", [], []
        folder = folder_of(name)
        for _ in range(3):
            seconds = rng.uniform(0.02, 0.5 * duration)
            kills.append([round(seconds, 3), attempt(stage, folder, seconds=seconds)])
            left += hidden(folder)
        attempt(stage, folder)
        report(name, kills, left)


@pytest.fixture(scope="module", params=STAGES)
def runs(request, tmp_path_factory):
    """The reports of a worker process for one stage."""
    if sys.platform != "linux":
        pytest.skip("forks after torch was imported, which is safe on Linux only")
    root = tmp_path_factory.mktemp(request.param)
    here = Path(__file__).resolve()
    code = f"import sys; sys.path[:0] = {[str(here.parent), *sys.path]!r}; import test_resume as t"
    code += "; t.worker(*sys.argv[1:])"
    command = [sys.executable, "-c", code, request.param, str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not survive a fork
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row for row in rows}


def test_kills_really_happened_everywhere(runs):
    moments = [tuple(kill) for row in runs.values() for kill in row["kills"] if len(kill) == 3]
    for operation, after in KILLS:
        assert sum(kill[0] == operation and kill[2] == after for kill in moments) > 2 * EPOCHS
    by_time = [how for row in runs.values() for kill in row["kills"] if len(kill) == 2 for how in kill[1:]]
    assert "killed" in by_time


def test_the_weights_are_those_of_the_uninterrupted_run(runs):
    for name, row in runs.items():
        assert row["result"] == runs["whole"]["result"], name


def test_the_best_epoch_of_fine_tuning_is_an_earlier_one_here(runs):
    """Otherwise the runs would not show that the best weights outlive a kill."""
    weights = runs["whole"]["weights"]
    for name in weights:
        if "finetuned" in name and "best" in name:
            assert weights[name] == runs["whole"]["result"] != weights[name.replace("best", "last")]


def test_every_checkpoint_is_too(runs):
    for name, row in runs.items():
        assert row["weights"] == runs["whole"]["weights"], name


def test_the_history_is_too(runs):
    for name, row in runs.items():
        assert row["history"] == runs["whole"]["history"], name
        assert row["files"] == runs["whole"]["files"], name


def test_what_a_kill_leaves_is_gone_after_the_next_start(runs):
    """Half-written files and the files of locks; the locks themselves end with their process."""
    for ending in (".part", ".lock"):
        assert any(name.endswith(ending) for row in runs.values() for name in row["left"])
    assert [row["hidden"] for row in runs.values() if row["hidden"]] == []


def test_a_command_that_is_killed_from_outside(tmp_path):
    """The plain way, without forks: a process of its own, killed when its first checkpoint is there."""
    here = Path(__file__).resolve()
    code = f"import sys; sys.path[:0] = {[str(here.parent), *sys.path]!r}; import test_resume as t"
    code += "; t.train('pretrain', sys.argv[1], epochs=40)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "killed")])
    last = tmp_path / "killed" / "S3Rec-planted-last.pth"
    while process.poll() is None and not last.exists():
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert last.exists()
    resumed = train("pretrain", tmp_path / "killed", epochs=40)
    assert weights_fingerprint(resumed) == weights_fingerprint(train("pretrain", tmp_path / "whole", epochs=40))


@pytest.mark.parametrize("stage", STAGES)
class TestGoingOn:
    def test_more_epochs_continue_a_finished_run(self, stage, tmp_path):
        train(stage, tmp_path / "steps", epochs=1)
        first = (tmp_path / "steps").glob("*-last.pth")
        before = weights_fingerprint(load_model(next(first)))
        extended = train(stage, tmp_path / "steps", epochs=3)
        direct = train(stage, tmp_path / "direct", epochs=3)
        assert weights_fingerprint(extended) == weights_fingerprint(direct)
        names = sorted(path.name for path in (tmp_path / "direct").iterdir())
        assert sorted(path.name for path in (tmp_path / "steps").iterdir()) == names
        for name in names:
            if name.endswith(".pth"):
                found, expected = (load_model(tmp_path / folder / name) for folder in ("steps", "direct"))
                assert weights_fingerprint(found) == weights_fingerprint(expected)
                assert not name.endswith("last.pth") or weights_fingerprint(found) != before

    def test_a_finished_run_is_not_trained_again(self, stage, tmp_path):
        first = weights_fingerprint(train(stage, tmp_path))
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert weights_fingerprint(train(stage, tmp_path)) == first
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_foreign_temporary_files_do_no_harm(self, stage, tmp_path):
        (tmp_path / "run").mkdir()
        for name in ("last.pth", "best.pth", "history.csv", "2.pth"):
            (tmp_path / "run" / f".S3Rec-planted-{name}.123.part").write_bytes(b"half a checkpo")
        found = train(stage, tmp_path / "run")
        assert weights_fingerprint(found) == weights_fingerprint(train(stage, None))

    def test_a_damaged_state_is_an_error_and_not_a_fresh_start(self, stage, tmp_path):
        train(stage, tmp_path, epochs=1)
        (last,) = tmp_path.glob("*-last.pth")
        last.write_bytes(last.read_bytes()[:500])
        with pytest.raises(s3.CheckpointError) as caught:
            train(stage, tmp_path)
        assert str(last) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert last.stat().st_size == 500
