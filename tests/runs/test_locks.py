"""One process at a time: the other is told who is there, and a process that dies leaves no lock."""

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import own_environment, tiny_config

import s3rec_lite as s3
from s3rec_lite import FinetuneConfig, PretrainConfig, S3Rec, SettingError
from s3rec_lite.datasets import toy
from s3rec_lite.experiments.reproduce import reproduce
from s3rec_lite.experiments.study import Study, run_study
from s3rec_lite.experiments.tune import Search, tune
from s3rec_lite.runs.locks import locked

DATA = toy()
HOLD = """
import sys, time
from pathlib import Path
from s3rec_lite.runs.locks import locked
with locked(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def elsewhere():
    """Holds a lock in another process, which is killed at the end: ``elsewhere(folder, name)`` returns it."""
    started = []

    def hold(folder: Path, name: str) -> subprocess.Popen:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", HOLD, str(folder), name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=own_environment())
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_message_names_the_process_and_its_machine(tmp_path, elsewhere):
    process = elsewhere(tmp_path, "run")
    with pytest.raises(SettingError) as caught, locked(tmp_path, "run"):
        pass
    message = str(caught.value)
    assert f"in use by process {process.pid} on {platform.node()}" in message
    assert str(tmp_path) in message and "\n" not in message
    with locked(tmp_path, "another"):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_ends_with_its_process(tmp_path, elsewhere, how):
    process = elsewhere(tmp_path, "run")
    process.send_signal(how)
    process.wait()
    with locked(tmp_path, "run"):
        assert f"process {os.getpid()} on" in (tmp_path / ".run.lock").read_text()
    assert os.listdir(tmp_path) == []


def test_within_one_process_too_and_again_afterwards(tmp_path):
    for _ in range(2):
        refused = pytest.raises(SettingError, match=f"process {os.getpid()} ")
        with locked(tmp_path, "run"), refused, locked(tmp_path, "run"):
            pass
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "run"):
        print(1 / 0)
    with locked(tmp_path, "run"):
        pass


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.training
def test_a_run_that_another_process_works_at_is_left_alone(tmp_path, elsewhere):
    def train(**options):
        model = S3Rec(DATA.num_items, DATA.num_attributes, tiny_config())
        s3.pretrain(model, DATA, PretrainConfig(epochs=1), folder=tmp_path, progress=False, **options)
        return model

    model = train()
    elsewhere(tmp_path, "S3Rec-toy")
    before = files(tmp_path)
    for options in ({}, {"restart": True}):
        with pytest.raises(SettingError, match="is in use by process"):
            train(**options)
    assert files(tmp_path) == before
    s3.finetune(model, DATA, FinetuneConfig(epochs=1), folder=tmp_path, progress=False)  # other files, another run


@pytest.mark.training
def test_so_are_searches_and_campaigns(tmp_path, elsewhere):
    search = Search(DATA, {"pretrain.epochs": [0]}, study="mine", runs=tmp_path / "runs", progress=False)
    study = Study(DATA, runs=tmp_path / "runs", results=tmp_path / "results", progress=False)
    elsewhere(tmp_path / "runs", "tune-mine")
    elsewhere(tmp_path / "results", "toy-study")
    elsewhere(tmp_path / "results", "toy-seed42")
    folders = {name: tmp_path / name for name in ("runs", "results", "figures")}
    for call in (lambda: tune(search), lambda: run_study(study), lambda: reproduce(DATA, progress=False, **folders)):
        with pytest.raises(SettingError, match="is in use by process"):
            call()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        ".toy-seed42.lock", ".toy-study.lock", ".tune-mine.lock",
    ]  # fmt: skip


@pytest.mark.training
def test_two_commands_at_once_give_one_run_and_one_message(tmp_path):
    command = [sys.executable, "-m", "s3rec_lite", "pretrain", "--data", "toy", "--hidden-size", "8", "--epochs", "200"]
    options = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command += ["--no-progress", "--output", str(tmp_path), "--device", "cpu"]
    both = [subprocess.Popen(command, env=own_environment(), **options) for _ in range(2)]
    begin = time.monotonic()
    results = [(process.communicate(timeout=120)[1], process.returncode) for process in both]
    assert time.monotonic() - begin < 120
    codes = sorted(code for _, code in results)
    assert codes == [0, 2], results
    (line,) = [stderr for stderr, code in results if code == 2]
    assert "is in use by process" in line and len(line.splitlines()) == 1
