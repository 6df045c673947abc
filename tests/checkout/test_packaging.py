"""The files around the package agree with each other, and the commands in them exist."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from itertools import chain

import pytest
import yaml

import s3rec_lite

REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)")
MAKE = shutil.which("make")
needs_make = pytest.mark.skipif(MAKE is None, reason="make is not installed")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def pins(root):
    lines = [line.split("#")[0].strip() for line in (root / "constraints.txt").read_text().splitlines()]
    pairs = [line.split("==") for line in lines if line]
    assert all(len(pair) == 2 for pair in pairs), "every constraint is name==version"
    names = [normal(name) for name, _ in pairs]
    assert len(set(names)) == len(names), "no package is pinned twice"
    return dict(zip(names, (version for _, version in pairs), strict=True))


@pytest.fixture
def environment(root):
    return yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))


def required(project, *extras: str) -> list[str]:
    """Names of the dependencies with those of some extras, or of all extras."""
    optional = project["optional-dependencies"]
    lines = project["dependencies"] + [line for extra in extras or optional for line in optional[extra]]
    return [normal(REQUIREMENT.match(line)[1]) for line in lines]


def imported(paths) -> set[str]:
    """Top-level modules that files import, inside functions too; a notebook's cells without their magics."""
    names = set()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
            text = "\n".join(line for line in lines if not line.startswith(("%", "!")))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names


def distributions(names: set[str], root) -> set[str]:
    """The distributions that hold these modules; Python's own and the checkout's modules are left out."""
    own = {path.stem for path in (*root.iterdir(), *(root / "notebooks").iterdir(), *(root / "tests").rglob("*.py"))}
    owners = importlib.metadata.packages_distributions()
    others = names - set(sys.stdlib_module_names) - own
    assert others <= set(owners), f"not installed: {others - set(owners)}"
    return {normal(owners[name][0]) for name in others}


def version_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_every_dependency_has_a_pin_at_or_above_its_lower_bound(project, pins):
    for line in chain(project["dependencies"], *project["optional-dependencies"].values()):
        name, bound = line.split(">=")
        assert version_tuple(pins[normal(name)]) >= version_tuple(bound), line


def test_every_imported_package_is_declared(root, project):
    folders = [root / name for name in ("s3rec_lite", "tools", "tests", "notebooks")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".ipynb")]
    assert distributions(imported([*files, root / "nbgrader_config.py"]), root) <= set(required(project))


def test_the_package_itself_needs_no_extra_of_teaching_or_tests(root, project):
    imports = distributions(imported((root / "s3rec_lite").rglob("*.py")), root)
    assert imports <= set(required(project, "tune", "bench", "notebooks"))


def test_no_pin_names_a_build_of_one_index(pins):
    assert not [name for name, version in pins.items() if "+" in version]


def test_environment_has_python_and_pip_in_conda_and_all_else_pinned_alike_in_pip(project, pins, environment):
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    assert [entry.split()[0] for entry in conda] == ["python", "pip"]
    assert conda[0].split(maxsplit=1)[1] == project["requires-python"]
    (pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert "-c constraints.txt" in pip
    assert "-e ." in pip
    pinned = dict(entry.split("==") for entry in pip if not entry.startswith("-"))
    assert {normal(name): version for name, version in pinned.items()} == {
        name: pins[name] for name in required(project)
    }


def test_python_versions_agree(project):
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups()
    named = [entry.rsplit(".", 1)[1] for entry in project["classifiers"] if "Python :: 3." in entry]
    assert named == [str(minor) for minor in range(int(low), int(high))]


def test_version_licence_and_command_agree(root, project):
    assert project["version"] == s3rec_lite.__version__
    assert project["scripts"] == {"s3rec-lite": "s3rec_lite.commands.start:main"}
    assert project["license"] == "MIT"
    assert (root / "LICENSE").read_text().startswith("MIT License")


def test_citation_names_software_and_paper(root, project):
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"]
    assert citation["license"] == "MIT"
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1145/3340531.3411954"
    assert len(paper["authors"]) == 8


def dry_run(root, *arguments: str) -> str:
    # -W: as if the stamp's sources were newer, so that the installation shows up too.
    command = [MAKE, "-n", "-W", "pyproject.toml", f"PYTHON={sys.executable}", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_make
def test_make_without_a_target_lists_the_targets(root):
    said = subprocess.run([MAKE], cwd=root, capture_output=True, text=True, check=True).stdout
    for target in ("reproduce", "test", "lab", "bench", "venv", "clean"):
        assert f"make {target} " in said


@needs_make
def test_make_installs_with_the_constraints_and_passes_the_options_on(root):
    said = dry_run(root, "reproduce", "DATA=lastfm", "EPOCHS=3", "FINETUNE_EPOCHS=4", "PRESET=authors")
    assert "-c constraints.txt -e" in said.replace("\\\n", "").replace("\t", "")
    assert "reproduce --data 'lastfm' --epochs 3 --finetune-epochs 4 --preset authors" in " ".join(said.split())
    assert "--epochs" not in dry_run(root, "reproduce")


@needs_make
def test_make_refuses_another_python_in_one_line(root, tmp_path):
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    shutil.copy(root / "Makefile", tmp_path / "Makefile")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    done = subprocess.run([MAKE, "venv", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_an_interrupted_installation_is_done_again_and_a_finished_one_is_not(root, tmp_path):
    log, broken = tmp_path / "log", tmp_path / "broken"
    # A stand-in for Python: `-m venv` makes a .venv whose python only notes what it was called for.
    inner = f'#!/bin/sh\necho "$@" >> {log}\ntest ! -e {broken}\n'
    (tmp_path / "inner").write_text(inner)
    outer = "#!/bin/sh\n"
    outer += f'if [ "$2" = venv ]; then echo venv >> {log}; mkdir -p .venv/bin; cp inner .venv/bin/python; '
    outer += "chmod +x .venv/bin/python; fi\n"
    (tmp_path / "python").write_text(outer)
    (tmp_path / "python").chmod(0o755)
    shutil.copy(root / "Makefile", tmp_path / "Makefile")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()

    def calls() -> list[str]:
        log.write_text("")
        subprocess.run([MAKE, "venv", f"PYTHON={tmp_path / 'python'}"], cwd=tmp_path, capture_output=True)
        return ["pip" if "pip install" in line else line for line in log.read_text().splitlines()]

    broken.touch()
    assert calls() == ["venv", "pip"]
    broken.unlink()
    assert calls() == ["venv", "pip"]  # from scratch: nobody knows what the first one left
    assert calls() == []
    stamp = (tmp_path / ".venv" / ".installed").stat().st_mtime
    os.utime(tmp_path / "constraints.txt", (stamp + 5, stamp + 5))
    assert calls() == ["pip"]


def test_ci_runs_the_command_that_users_run(root):
    script = root / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text()
    assert text.rstrip().endswith("make test")
    assert "S3REC_MIRROR" in text
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_git_ignores_downloads_and_checkpoints_but_not_records(root):
    lines = (root / ".gitignore").read_text().split()
    assert {".venv/", "data/raw/*", "data/runs/", "*.pth", "*.pt"} <= set(lines)
    assert not [line for line in lines if "results" in line or "figures" in line]
