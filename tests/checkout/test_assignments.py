"""Handing out and grading the assignments, as a teacher does it: what students get, and what goes wrong in class."""

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from assignment_suite import hidden_lines, hidden_tests, page_text, solution_lines, variants
from grading import ROOT, SOURCES, Course, assignments, without_session_warnings

from s3rec_lite.support.errors import S3RecError
from tools.assignments import Course as PlainCourse
from tools.grading import STAND_IN, redefined

NAME = "02_views"  # the quickest to run
IN_CHECKOUT = {**os.environ, "PYTHONPATH": str(ROOT)}
"""a teacher works in the checkout; courses of these tests are elsewhere and must find its tools"""
pytestmark = [pytest.mark.grading, pytest.mark.timeout(900), without_session_warnings]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    return Course(tmp_path_factory.mktemp("class"), NAME, timeout=10)


@pytest.fixture(scope="module")
def good(course):
    return course.instructor_cells()


def first_solution(good):
    return next(iter(good))


def test_there_are_seven_assignments_and_each_is_tested():
    names = assignments()
    assert [int(name[:2]) for name in names] == list(range(1, 8))
    for name in names:
        assert (ROOT / "tests" / "checkout" / f"test_assignment_{name}.py").exists()
        assert len(variants(name).WRONG) >= 4
        assert len(variants(name).CORRECT) >= 2
        assert f"{name}/{name}.ipynb" in (SOURCES / "README.md").read_text(encoding="utf-8")


def test_an_endless_loop_is_stopped_noted_and_costs_its_points_only(course, good):
    cell = first_solution(good)
    course.submit("endless", {**good, cell: f"{good[cell]}\n\nwhile True:\n    pass"})
    marks = course.grade("endless")
    assert any(f"the cell {cell} did not end" in note for note in marks.notes)
    assert marks.points > 0


def test_a_missing_module_and_a_helper_defined_anew_are_noted(course, good):
    cell, other = list(good)[:2]
    helper = "def as_list(answer):\n    return answer"
    course.submit(
        "module", {**good, cell: f"import no_such_module\n\n{good[cell]}", other: f"{helper}\n\n\n{good[other]}"}
    )
    marks = course.grade("module")
    assert f"the cell {other} redefines as_list, which the tests use" in marks.notes
    assert any("no_such_module" in note for note in marks.notes)
    assert marks.points == marks.most - 2, "the first part, and nothing else"


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        ("def compare(got, right):\n    pass", ["compare"]),
        ("if True:\n    compare = print", ["compare"]),
        ("from math import dist as compare", ["compare"]),
        ("def mine():\n    global call, LIMIT\n    call = LIMIT = 1", ["LIMIT", "call"]),
        ("np = None\nLIMIT: int = 3", ["LIMIT", "np"]),
        ("import numpy as np\nimport math", []),
        ("%matplotlib inline\ncompare_two = [call for call in 'ab']\nscratch = 2", []),
        ("def mine(call):\n    compare = call\n    return compare", []),
        ("this is not Python", []),
    ],
)
def test_what_counts_as_a_helper_defined_anew(answer, names):
    helpers = "import math\nimport numpy as np\nLIMIT = 2\nscratch = 1\ndef compare(): pass\ndef call(): pass"
    new, locked = nbformat.v4.new_code_cell, {"nbgrader": {"locked": True, "grade": False, "grade_id": "helpers"}}
    cells = [new(helpers, metadata=locked), new(answer, metadata={"nbgrader": {"grade_id": "mine"}}), new(answer)]
    found = [(cell, name) for cell in ("mine", "an extra cell") for name in names]
    assert list(redefined(cells)) == found


def test_a_crash_is_noted_and_the_next_student_is_graded(course, good):
    cell = first_solution(good)
    course.submit("crash", {**good, cell: "import os\n\nos._exit(1)"})
    course.submit("next", good)
    crashed, graded = course.grade("crash"), course.grade("next")
    (note,) = crashed.notes
    assert note == "it could not be run to its end: DeadKernelError: Kernel died"
    assert (crashed.points, crashed.by_hand) == (0, 0)
    assert graded.points == graded.most - graded.by_hand


def stored(course, student):
    """The row of a student in the table of marks."""
    (row,) = [row for row in course.marks() if row["student"] == student]
    return row["points"], row["waits for a person"]


def test_what_cannot_be_graded_loses_the_points_of_an_earlier_submission(course, good):
    """Marks of the gradebook, and the page of feedback, are those of what was handed in last."""
    path = course.submit("again", good)
    assert course.grade("again").points == 20
    page = course.build / "feedback" / "again" / NAME / f"{NAME}.html"
    assert page.exists()
    path.rename(path.with_name("final.ipynb"))
    marks = course.grade("again")
    assert (marks.points, marks.by_hand) == (0, 0)
    assert stored(course, "again") == (0, False)
    assert not page.exists()
    for last in ("this is not a notebook", with_crash(path.with_name("final.ipynb"))):
        with course.gradebook() as book:
            for grade in book.find_submission(NAME, "again").notebooks[0].grades:
                grade.auto_score = grade.max_score
            book.db.commit()
        assert stored(course, "again") == (20, False)
        path.write_text(last, encoding="utf-8")
        assert course.grade("again").points == 0
        assert stored(course, "again") == (0, False)


def with_crash(path):
    """A notebook whose first cell ends the kernel."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import os\n\nos._exit(1)"))
    return nbformat.writes(notebook)


def test_feedback_has_the_messages_of_hidden_tests_but_not_their_lines(course, good):
    """Also for nbgrader's own command, and where a submission prints the cells that were run."""
    wrong = "def pad_left(prefixes, length):\n    print(In[-1])\n    return [[0] * length for _ in prefixes]"
    course.submit("curious", {**good, "padding": wrong})
    course.grade("curious")
    page = course.build / "feedback" / "curious" / NAME / f"{NAME}.html"
    lines = hidden_lines(course)
    assert len(lines) > 50
    for again in (False, True):
        if again:
            page.unlink()
            nbgrader((course.root, "generate_feedback", NAME, "--student", "curious", "--force"))
        text = page_text(page)
        assert "in 6 columns: column" in text or "in 1 columns: column" in text, "the message of a hidden test"
        assert STAND_IN in text
        assert "hidden_test_padding" not in text
        assert not [line for line in lines if line in text]


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
    marks = course.grade("renamed")
    assert any("found my_solution.ipynb" in note for note in marks.notes)
    assert str(marks).startswith(f"{NAME}  renamed: 0 of 20\n"), "nothing waits for a person"
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
    command = [sys.executable, "-m", "tools.assignments"]
    done = subprocess.run([*command, "grade", NAME], cwd=tmp_path, capture_output=True, text=True, env=IN_CHECKOUT)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith(NAME)]) == 20
    subprocess.run([*command, "marks"], cwd=tmp_path, check=True, capture_output=True, env=IN_CHECKOUT)
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
    path = tmp_path / "all.zip"
    PlainCourse(tmp_path).archive(path)
    answers = answer_lines()
    with zipfile.ZipFile(path) as bundle:
        assert sorted(bundle.namelist()) == [f"assignments/{name}/{name}.ipynb" for name in assignments()]
        for name in bundle.namelist():
            text = "\n".join(cell.source for cell in nbformat.reads(bundle.read(name).decode(), as_version=4).cells)
            assert "HIDDEN" not in text
            assert not [line for line in answers if line in text]


def nbgrader(*commands, **settings):
    """Run commands of nbgrader, each a folder and the words of a command line, one after the other."""
    program = """
import contextlib, json, os, sys
from jupyter_core.application import NoStart
from nbgrader.apps import NbGraderApp
for folder, *words in json.load(sys.stdin):
    os.chdir(folder)
    app = NbGraderApp()
    app.initialize(words)
    with contextlib.suppress(NoStart):  # raised when the sub-command is through
        app.start()
    app.subapp.clear_instance()
"""
    given = json.dumps([[str(word) for word in command] for command in commands])
    options = {"capture_output": True, "text": True, "env": {**IN_CHECKOUT, **settings}}
    done = subprocess.run([sys.executable, "-c", program], input=given, **options)
    assert done.returncode == 0, done.stderr


def test_the_exchange_round_and_the_export_on_the_command_line(tmp_path):
    """Release, fetch, submit, collect, late again, as the page for teachers says; nothing is run."""
    teacher, student, exchange = (tmp_path / name for name in ("teacher", "student", "exchange"))
    for folder in (student, exchange):
        folder.mkdir()
    exchange.chmod(0o777)
    shared = {"NBGRADER_EXCHANGE": str(exchange)}
    config = f"c = get_config()\nc.CourseDirectory.course_id = 's3rec'\nc.Exchange.root = {str(exchange)!r}\n"
    (student / "nbgrader_config.py").write_text(config)
    course = Course(teacher, NAME)
    fetch, submit = (student, "fetch_assignment", NAME), (student, "submit", NAME)
    nbgrader((teacher, "release_assignment", NAME), fetch, submit, (teacher, "collect", NAME), **shared)
    mine = student / NAME / f"{NAME}.ipynb"
    (collected,) = (course.build / "submitted").glob(f"*/{NAME}/{NAME}.ipynb")
    assert mine.read_bytes() == course.released.read_bytes() == collected.read_bytes()
    mine.write_text(mine.read_text(encoding="utf-8").replace("raise NotImplementedError", "return 1"), encoding="utf-8")
    who = collected.parts[-3]
    with course.gradebook() as book:
        book.add_student(who)
        book.add_submission(NAME, who)
    export = (teacher, "export", "--to", "table.csv")
    nbgrader(submit, (teacher, "collect", "--update", NAME), export, **shared)
    assert collected.read_bytes() == mine.read_bytes()
    with (teacher / "table.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["assignment"], row["student_id"]) == (NAME, who)


def all_cells():
    """Every cell of every source version."""
    return [
        cell for name in assignments() for cell in nbformat.read(SOURCES / name / f"{name}.ipynb", as_version=4).cells
    ]


def answer_lines(least=45):
    """Lines of all instructor solutions that are long enough to be recognised elsewhere."""
    return [line for cell in all_cells() for line in solution_lines(cell.source, least)]


def neighbours(texts, least=20):
    """Pairs of lines that follow each other: single lines may coincide, since names and shapes are the package's."""
    lines = [[line for line in text.splitlines() if len(line) >= least] for text in texts]
    return {f"{first}\n{second}" for each in lines for first, second in itertools.pairwise(each)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as pip builds it, from a copy."""
    copy, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT / "s3rec_lite", copy / "s3rec_lite", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(SOURCES, copy / "notebooks" / "assignments")
    shutil.copytree(ROOT / "tests" / "checkout", copy / "tests" / "checkout")
    for name in ("pyproject.toml", "README.md", "LICENSE", "nbgrader_config.py"):
        shutil.copy(ROOT / name, copy)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(copy)], check=True, capture_output=True)
    (path,) = target.glob("*.whl")
    return path


def test_no_answer_and_no_hidden_test_is_in_the_chapters_or_in_the_built_package(wheel):
    with zipfile.ZipFile(wheel) as bundle:
        texts = {name: bundle.read(name).decode() for name in bundle.namelist() if name.endswith(".py")}
        assert not [name for name in bundle.namelist() if name.endswith(".ipynb") or "tests" in name]
    assert "s3rec_lite/commands/cli.py" in texts
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        texts[path.name] = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    plain = {name: "\n".join(line.strip() for line in text.splitlines()) for name, text in texts.items()}
    sources = [source for name in assignments() for source in hidden_tests(SOURCES / name / f"{name}.ipynb")]
    answers, tests = neighbours(["\n".join(answer_lines(least=20))]), neighbours(sources)
    assert min(len(answers), len(tests)) > 100
    for pair in answers | tests:
        assert not [name for name, text in plain.items() if pair in text], pair


def test_a_folder_without_settings_is_refused_in_one_line(tmp_path):
    with pytest.raises(S3RecError, match="run this in a clone of the project"):
        PlainCourse(tmp_path)
