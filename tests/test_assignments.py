"""Handing out and grading the assignments, as a teacher does it: what students get, and what goes wrong in class."""

import csv
import itertools
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from assignment_suite import solution_lines, variants
from grading import ROOT, SOURCES, Course, assignments

from s3rec_lite.commands.assignments import archive, read_config
from s3rec_lite.errors import S3RecError

NAME = "02_views"  # the quickest to run


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return Course(tmp_path_factory.mktemp("class"), NAME, timeout=4)


@pytest.fixture(scope="module")
def good(course):
    return course.instructor_cells()


def first_solution(good):
    return next(iter(good))


def test_there_are_seven_assignments_and_each_is_tested():
    names = assignments()
    assert [int(name[:2]) for name in names] == list(range(1, 8))
    for name in names:
        assert (ROOT / "tests" / f"test_assignment_{name}.py").exists()
        assert len(variants(name).WRONG) >= 4
        assert len(variants(name).CORRECT) >= 2
        assert f"{name}/{name}.ipynb" in (SOURCES / "README.md").read_text(encoding="utf-8")


def test_an_endless_loop_is_stopped_noted_and_costs_its_points_only(course, good):
    cell = first_solution(good)
    course.submit("endless", {**good, cell: f"{good[cell]}\n\nwhile True:\n    pass"})
    marks = course.grade("endless")
    assert any(f"the cell {cell} did not end" in note for note in marks.notes)
    assert marks.points > 0


def test_a_missing_module_is_noted(course, good):
    cell = first_solution(good)
    course.submit("module", {**good, cell: f"import no_such_module\n\n{good[cell]}"})
    marks = course.grade("module")
    assert any("no_such_module" in note for note in marks.notes)
    assert 0 < marks.points < marks.most


def test_a_crash_is_noted_and_the_next_student_is_graded(course, good):
    cell = first_solution(good)
    course.submit("crash", {**good, cell: "import os\n\nos._exit(1)"})
    course.submit("next", good)
    crashed, graded = course.grade("crash"), course.grade("next")
    assert crashed.notes
    assert crashed.points < graded.points
    assert graded.points == graded.most - graded.by_hand


def test_a_deleted_test_is_noted_and_costs_its_points(course, good):
    path = course.submit("deleted", good)
    notebook = nbformat.read(path, as_version=4)
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    gone = graded[0].metadata["nbgrader"]["grade_id"]
    notebook.cells.remove(graded[0])
    nbformat.write(notebook, path)
    marks = course.grade("deleted")
    assert f"the cell {gone} was deleted: no points for it" in marks.notes
    assert marks.points == marks.most - graded[0].metadata["nbgrader"]["points"]


def test_a_renamed_notebook_and_a_file_that_is_none_are_noted(course, good):
    course.submit("renamed", good, file="my_solution.ipynb")
    assert any("found my_solution.ipynb" in note for note in course.grade("renamed").notes)
    path = course.submit("broken", good)
    path.write_text("this is not a notebook")
    marks = course.grade("broken")
    assert any("not a notebook that can be read" in note for note in marks.notes)
    assert marks.points == 0


def test_twenty_submissions_grade_in_one_call_and_make_a_table(tmp_path):
    """The teacher's commands, in a folder of their own: correct, half and blank among twenty."""
    course = Course(tmp_path, NAME)
    good = course.instructor_cells()
    half = dict(list(good.items())[: len(good) // 2])
    for number in range(20):
        course.submit(f"student{number:02d}", [good, half, {}][number % 3])
    command = [sys.executable, "-m", "s3rec_lite.commands.assignments"]
    done = subprocess.run([*command, "grade", NAME], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith(NAME)]) == 20
    subprocess.run([*command, "marks"], cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "build" / "nbgrader" / "marks.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    points = [float(row["points"]) for row in rows]
    assert len(rows) == 20
    assert set(points[2::3]) == {0.0}
    assert len(set(points[0::3])) == 1
    assert points[0] == 20 > points[1] > 0
    assert len(list((tmp_path / "build" / "nbgrader" / "feedback").glob(f"*/{NAME}/{NAME}.html"))) == 20


def test_the_archive_holds_every_student_version_and_no_answer(tmp_path):
    for name in assignments():
        shutil.copytree(SOURCES / name, tmp_path / "notebooks" / "assignments" / name)
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    from s3rec_lite.commands.assignments import Course as PlainCourse

    path = archive(PlainCourse(tmp_path), tmp_path / "all.zip")
    answers = answer_lines()
    with zipfile.ZipFile(path) as bundle:
        assert sorted(bundle.namelist()) == [f"assignments/{name}/{name}.ipynb" for name in assignments()]
        for name in bundle.namelist():
            text = "\n".join(cell.source for cell in nbformat.reads(bundle.read(name).decode(), as_version=4).cells)
            assert "HIDDEN" not in text
            assert not [line for line in answers if line in text]


def answer_lines(least=45):
    """Lines of all instructor solutions that are long enough to be recognised elsewhere."""
    sources = [
        cell.source
        for name in assignments()
        for cell in nbformat.read(SOURCES / name / f"{name}.ipynb", as_version=4).cells
    ]
    return [line for source in sources for line in solution_lines(source, least)]


def test_no_answer_is_in_the_chapters_or_in_the_package():
    """Single lines may coincide, since names and shapes are the package's; neighbouring ones may not."""
    places = [*(ROOT / "s3rec_lite").rglob("*.py")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in places}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        texts[path.name] = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    plain = {name: "\n".join(line.strip() for line in text.splitlines()) for name, text in texts.items()}
    answers = answer_lines(least=20)
    pairs = {f"{first}\n{second}" for first, second in itertools.pairwise(answers)}
    assert len(pairs) > 100
    for pair in pairs:
        assert not [name for name, text in plain.items() if pair in text], pair
    assert "assignments" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[tool.setuptools")[1]


def test_a_folder_without_settings_is_refused_in_one_line(tmp_path):
    with pytest.raises(S3RecError, match="run this in a clone of the project"):
        read_config(tmp_path)
