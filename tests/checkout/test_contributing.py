"""CONTRIBUTING.md tells the truth: what it names exists, and its steps are followed here for one example each."""

import hashlib
import json
import re
import shutil
import sys
import tomllib
import types
from pathlib import Path

import nbformat
import pytest
import torch
from click.testing import CliRunner
from course import CHAPTERS, chapters
from helpers import make_data
from matplotlib.figure import Figure

import s3rec_lite as s3
from s3rec_lite import labs, objectives, plain
from s3rec_lite.commands.cli import main
from s3rec_lite.datasets import NAMES, sources
from s3rec_lite.labs.lab import Answer, Lab, Slider
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from tools.readme import readme_blocks

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WORDS = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL))
ASSIGNMENTS = sorted(path.name for path in (ROOT / "notebooks" / "assignments").iterdir() if path.is_dir())


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def cells_of(path: str) -> str:
    return "\n".join(cell.source for cell in nbformat.read(ROOT / path, as_version=4).cells)


# --- what is named exists ---------------------------------------------------------------------------------------


def test_files_and_folders_exist():
    """NN_name stands for every name of that kind."""
    paths = [
        word for word in WORDS if re.fullmatch(r"[\w./*-]+", word) and ("/" in word or word.endswith((".md", ".txt")))
    ]
    assert len(paths) > 25
    for path in paths:
        assert list(ROOT.glob(path.replace("NN_name", "[0-9][0-9]_*").replace("NN", "[0-9][0-9]"))), path


def test_names_are_where_they_are_said_to_be():
    """As in "`LABS` (in `s3rec_lite/labs/__init__.py`)", and in "`A` and `B` (both in `FILE`)"."""
    single = re.findall(r"`(\w+)`\s+\(in\s+`([^`]+)`\)", TEXT)
    double = re.findall(r"`(\w+)`[^`()]*?and\s+[^`()]*?`(\w+)`[^`()]*\(both\s+in\s+`([^`]+)`\)", TEXT)
    pairs = single + [(name, path) for *names, path in double for name in names]
    assert len(pairs) >= 10
    for name, path in pairs:
        assert re.search(rf"^(class |def )?{name}\b", text_of(path), re.MULTILINE), (name, path)


def test_targets_of_make_exist():
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    assert {word.split()[1] for word in WORDS if word.startswith("make ")} <= targets
    assert set(re.findall(r"^make (\w+)", TEXT, re.MULTILINE)) <= targets


def test_tools_take_the_commands_that_are_named():
    from tools import course

    named = set(re.findall(r"-m tools\.course (\w+)((?: --\w+)*)", TEXT))
    assert {command for command, _ in named} == {"execute", "times"}
    for command, options in named:
        known = {option for parameter in course.main.commands[command].params for option in parameter.opts}
        assert set(options.split()) <= known


def test_marks_are_those_that_pytest_knows():
    marks = tomllib.loads(text_of("pyproject.toml"))["tool"]["pytest"]["ini_options"]["markers"]
    names = [mark.split(":")[0] for mark in marks]
    assert f"not ({' or '.join(names)})" in text_of("Makefile")
    assert all(f"`{name}`" in TEXT for name in names)


def test_the_rooms_are_those_of_the_package():
    rooms = {path.parent.name for path in (ROOT / "s3rec_lite").glob("*/__init__.py")}
    table = TEXT.split("may import |")[1].split("\n\n")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines() if line.count("|") == 4)
    assert rooms <= set(re.findall(r"\w+", first))


# --- a data set -------------------------------------------------------------------------------------------------


def test_every_named_data_set_has_its_source_and_its_checksums_on_the_page():
    page = text_of("data/README.md")
    assert [name for name in NAMES if f"`{name}`" not in page] == []
    for file, checksum in sources.CHECKSUMS.items():
        assert f"| `{file}` | `{checksum}` |" in page


def test_a_data_set_of_ones_own_needs_a_path_only(tmp_path):
    rows = [f"{user},{item},{item}" for user in range(5) for item in range(5)]
    (tmp_path / "films.csv").write_text("\n".join(["user,item,time", *rows]))
    data = s3.load_dataset(str(tmp_path / "films.csv"))
    assert (data.num_users, data.num_items) == (5, 5)


def test_a_checksum_decides_whether_a_file_is_used(tmp_path, monkeypatch):
    """Step 2: with another SHA-256 the files of a mirror are other files."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "Beauty.txt").write_text("1 1 2 3\n2 2 3 1\n")
    (mirror / "Beauty_item2attributes.json").write_text(json.dumps({"1": [1], "2": [1], "3": [2]}))
    for path in mirror.iterdir():
        monkeypatch.setitem(sources.CHECKSUMS, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setenv("S3REC_MIRROR", str(mirror))
    data = s3.load_dataset("beauty", root=tmp_path / "cache", progress=False)
    assert (data.num_users, data.num_items, data.num_attributes) == (2, 3, 2)


# --- an objective -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_has_all_its_parts(name):
    function = "map_" if name == "map" else name
    assert callable(getattr(plain, function)), "the plain version"
    assert getattr(objectives, function).__doc__.count("equation"), "the function with its equation"
    assert name in PretrainConfig().weights and name in PretrainConfig().forms
    model = s3.S3Rec(6, 4)
    assert name in model.heads
    settings = readme_blocks([])["settings"]
    assert f"`{name}_weight`" in settings and f"`{name}_form`" in settings
    losses = objectives.pretraining_losses(model, *sample_views(model))
    assert losses[name].item() > 0


def sample_views(model):
    """Views of one toy sequence, and its attributes."""
    data = s3.load_dataset("toy")
    rows = torch.tensor([[1, 2, 3]])
    masked = torch.tensor([[1, model.mask_token, 3]])
    segment = torch.tensor([[1, model.mask_token, model.mask_token]])
    return s3.views.Views(masked, rows, rows.flip(1), segment, torch.tensor([[0, 2, 3]]), rows), data.attributes


# --- a model ----------------------------------------------------------------------------------------------------


class Popularity:
    """Scores an item by how often it occurs."""

    max_length = 5

    def __init__(self, data):
        self.counts = torch.bincount(torch.from_numpy(data.items), minlength=data.num_items + 2).float()

    def score(self, histories):
        return self.counts.expand(len(histories), -1)

    def score_candidates(self, histories, candidates):
        return self.counts[candidates]


def test_a_model_is_evaluated_and_compared():
    data = make_data([[1, 2, 3, 1], [2, 3, 1, 1], [3, 2, 2, 1]] * 4, num_items=6)
    model = Popularity(data)
    full = s3.evaluate(model, data, split="test", protocol="full", cutoffs=(1,))
    sampled = s3.evaluate(model, data, split="test", protocol="sampled", num_negatives=3, cutoffs=(1,))
    assert full.metrics["HR@1"] == sampled.metrics["HR@1"] == 1
    other = s3.evaluate(s3.S3Rec(data.num_items, data.num_attributes), data, split="test", cutoffs=(1,))
    assert s3.compare(full, other, "HR@1").difference >= 0


# --- a chapter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.file[:-6])
def test_a_chapter_has_all_its_parts(chapter):
    assert (ROOT / "notebooks" / chapter.file).exists()
    assert "MISTAKES" in text_of(f"tests/course/exercise_mistakes/chapter_{chapter.number:02d}.py")
    assert chapter.file in json.loads(text_of("data/results/course-times.json"))["seconds"]
    assert f"notebooks/{chapter.file}" in text_of("README.md")


def test_a_new_chapter_is_listed_and_linked(monkeypatch):
    new = chapters.Chapter(len(CHAPTERS), "11_new.ipynb", "New", 10, 5, "What is new", ("plain",))
    monkeypatch.setattr(chapters, "CHAPTERS", (*CHAPTERS, new))
    assert (
        "| [11 · New](notebooks/11_new.ipynb) | 10 | 5 | What is new | [plain](s3rec_lite/plain.py) |"
        in chapters.chapter_table("notebooks/")
    )
    assert f"[{new.label} →](11_new.ipynb)" in chapters.navigation(new.number - 1)
    assert chapters.navigation(new.number).startswith(f"[← {CHAPTERS[-1].label}]({CHAPTERS[-1].file})")


# --- a lab ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", labs.LABS)
def test_a_lab_has_all_its_parts(name):
    assert (ROOT / "s3rec_lite" / "labs" / f"{labs.LABS[name]}.py").exists()
    assert name in CliRunner().invoke(main, ["lab", "--help"]).output.replace("\n", "").replace(" ", "")
    assert f'labs.show("{name}")' in cells_of("notebooks/labs.ipynb")
    assert sum(f'labs.show("{name}")' in cells_of(f"notebooks/{chapter.file}") for chapter in CHAPTERS) == 1
    assert (ROOT / "figures" / "labs" / f"{name}.png").exists()


def test_a_new_lab_is_shown(monkeypatch):
    def answer(power):
        return Answer(f"{2**power}", Figure, "nothing", {"value": 2**power})

    module = types.ModuleType("s3rec_lite.labs.doubling")
    module.make_lab = lambda material: Lab(
        "doubling", "Doubling", "Move it.", (Slider("power", "Power", 0, 8, 3),), answer
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(labs.LABS, "doubling", "doubling")
    view = labs.show("doubling", using=object())
    assert view.facts == {"value": 8}
    view.close()


# --- an assignment ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignment_has_all_its_parts(name):
    assert (ROOT / "notebooks" / "assignments" / name / f"{name}.ipynb").exists()
    variants = text_of(f"tests/checkout/assignments/{name}.py")
    assert re.search(r"^WRONG\b", variants, re.MULTILINE) and re.search(r"^CORRECT\b", variants, re.MULTILINE)
    assert f'name = "{name}"' in text_of(f"tests/checkout/test_assignment_{name}.py")
    assert f"({name}/{name}.ipynb)" in text_of("notebooks/assignments/README.md")


@pytest.mark.grading
def test_a_new_assignment_is_released(tmp_path):
    from tools.assignments import Course

    shutil.copytree(ROOT / "notebooks" / "assignments" / "02_views", tmp_path / "notebooks" / "assignments" / "08_new")
    folder = tmp_path / "notebooks" / "assignments" / "08_new"
    (folder / "02_views.ipynb").rename(folder / "08_new.ipynb")
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    course = Course(tmp_path)
    assert course.names() == ["08_new"]
    released = (course.release("08_new") / "08_new.ipynb").read_text(encoding="utf-8")
    assert "HIDDEN" not in released and "NotImplementedError" in released
