"""What checks the package is itself in order: contracts on imports, marks and time limits of tests, hooks of git."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
SUBJECT = {f"s3rec_lite.{path.stem}" for path in (ROOT / "s3rec_lite").glob("[!_]*.py")}
IMPORTED_AS = {"ipython": "IPython", "pillow": "PIL"}


def contract(start: str) -> dict:
    (name,) = [name for name in CONTRACTS if name.startswith(start)]
    return CONTRACTS[name]


# --- contracts --------------------------------------------------------------------------------------------------


def test_contracts_name_every_module_of_the_subject_and_every_library():
    """What the subject and the support may not import is all that the package depends on, but for what they may."""
    extras = PROJECT["project"]["optional-dependencies"]
    lines = chain(PROJECT["project"]["dependencies"], *(extras[name] for name in extras if name != "test"))
    names = {re.match(r"[\w-]+", line)[0] for line in lines}
    libraries = {IMPORTED_AS.get(name, name) for name in names}
    subject, support, plain = contract("The subject"), contract("The support"), contract("plain.py")
    assert set(subject["source_modules"]) == SUBJECT
    assert set(subject["forbidden_modules"]) >= libraries - {"numpy", "torch", "pandas"}
    assert set(support["forbidden_modules"]) >= libraries - {"numpy", "torch", "pydantic"}
    assert set(plain["forbidden_modules"]) == SUBJECT - {"s3rec_lite.plain", "s3rec_lite.data"} | {"s3rec_lite.support"}


def test_types_are_strict_for_the_subject_and_the_support():
    strict = next(part for part in PROJECT["tool"]["mypy"]["overrides"] if part.get("disallow_untyped_defs"))
    assert set(strict["module"]) == SUBJECT | {"s3rec_lite", "s3rec_lite.support.*"}


def test_labs_do_not_load_optuna():
    code = "import importlib, sys; from s3rec_lite import labs\n"
    code += "for name in labs.LABS.values(): importlib.import_module(f's3rec_lite.labs.{name}')\n"
    code += "print(sorted({'optuna', 'sqlalchemy', 'nbgrader', 'tools'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr


# --- marks and limits -------------------------------------------------------------------------------------------


def test_every_test_has_a_time_limit(request):
    assert float(request.config.getini("timeout")) > 0
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    cell = int(re.search(r"--nbval-cell-timeout=(\d+)", makefile)[1])
    assert int(re.search(r"NBVAL :=.*--timeout=(\d+)", makefile)[1]) > cell, "nbval says first which cell it was"


# --- hooks ------------------------------------------------------------------------------------------------------


def test_hooks_use_the_versions_of_the_environment():
    """They are local, so that nothing is downloaded and versions cannot drift apart."""
    assert [repository["repo"] for repository in HOOKS["repos"]] == ["local"]
    hooks = HOOKS["repos"][0]["hooks"]
    assert [hook["id"] for hook in hooks] == ["ruff-check", "ruff-format", "nbstripout"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    needed = PROJECT["project"]["optional-dependencies"]["test"]
    for name in ("ruff", "nbstripout", "pre-commit"):
        assert version(name) == pins[name], f"{name}: run `make venv`"
        assert any(line.startswith(f"{name}>=") for line in needed)
    for hook in hooks:
        assert hook["language"] == "system"
        assert re.search(rf"exec {hook['id'].split('-')[0]} ", hook["entry"])


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_hooks_fix_style_and_leave_outputs_and_counts_alone(tmp_path):
    """Run as git does it: in the folder of the checkout, on the files that changed."""
    cell = {
        "cell_type": "code", "id": "c000", "source": ["1 + 1"], "execution_count": 7,
        "metadata": {"tags": ["setup"], "collapsed": True, "execution": {"iopub.execute_input": "2026-01-01"}},
        "outputs": [
            {"output_type": "execute_result", "data": {"text/plain": ["2"]}, "execution_count": 7, "metadata": {}}
        ],
    }  # fmt: skip
    notebook = {"cells": [cell], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "chapter.ipynb").write_text(json.dumps(notebook, indent=1) + "\n")
    (tmp_path / "module.py").write_text("import os\nx = {'a':1}\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for hook in HOOKS["repos"][0]["hooks"]:
        files = ["chapter.ipynb"] if hook["id"] == "nbstripout" else ["module.py", "chapter.ipynb"]
        command = [*shlex.split(hook["entry"]), *files]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path})
        assert done.returncode == 0, done.stdout + done.stderr
    (cleaned,) = json.loads((tmp_path / "chapter.ipynb").read_text())["cells"]
    assert cleaned == {**cell, "metadata": {"tags": ["setup"]}}
    assert (tmp_path / "module.py").read_text() == 'x = {"a": 1}\n'
