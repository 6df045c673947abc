"""``s3rec-lite lab``: what it starts, for whom, and how it ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from s3rec_lite import labs
from s3rec_lite.commands.cli import main

ROOT = Path(__file__).resolve().parents[2]


def test_it_opens_the_labs_on_this_machine_only_and_with_a_token(monkeypatch):
    """The command line of the server, and the notebook that lies in its folder."""
    started = []

    class Server:
        def __init__(self, command):
            folder = Path(next(word for word in command if "root_dir=" in word).split("=")[1])
            started.append((command, nbformat.read(folder / "masking.ipynb", as_version=4)))

        def wait(self):
            return 0

    monkeypatch.setattr(subprocess, "Popen", Server)
    assert CliRunner().invoke(main, ["lab", "masking", "--no-browser", "--port", "8899"]).exit_code == 0
    ((command, notebook),) = started
    assert "--no-browser" in command
    assert "--port=8899" in command
    assert any(word.endswith("/lab/tree/masking.ipynb") for word in command)
    (cell,) = notebook.cells
    assert 'labs.show("masking")' in cell.source
    assert not [word for word in command if "--ip" in word or "token" in word or "allow" in word]


SERVER = """
import signal, sys, time
count = 0
def asked(*_):
    global count
    count += 1
    print(f"asked {count}", flush=True)
    if count == 2:
        sys.exit(7)
signal.signal(signal.SIGINT, asked)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
"""A stand-in for JupyterLab, which asks at the first Ctrl-C and ends at the second."""


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_ctrl_c_leaves_the_server_time_to_ask(tmp_path):
    (tmp_path / "jupyterlab.py").write_text(SERVER)
    # Below a parent that ignores Ctrl-C, such as nohup, a process ignores it too unless it is told otherwise.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from s3rec_lite.commands.cli import main; main(['lab', 'masking', '--no-browser'])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert parent.stdout.readline() == "ready\n"
        for count in (1, 2):
            os.killpg(parent.pid, signal.SIGINT)  # as a terminal sends it: to both
            assert parent.stdout.readline() == f"asked {count}\n"
            if count == 1:  # longer than the quarter of a second that `subprocess.run` would leave
                with pytest.raises(subprocess.TimeoutExpired):
                    parent.wait(0.6)
        assert parent.wait(30) == 7
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        parent.stdout.close()


def test_it_knows_every_lab_and_refuses_others():
    (argument,) = [parameter for parameter in main.commands["lab"].params if parameter.name == "name"]
    assert set(argument.type.choices) == set(labs.LABS)
    result = CliRunner().invoke(main, ["lab", "mask"])
    assert result.exit_code == 2
    assert "mask" in result.stderr
