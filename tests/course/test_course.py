"""The notebooks of the course: complete, executed, linked, and honest about where numbers come from.

That running them again gives the committed outputs is checked by `pytest --nbval` (see `make test`).
"""

import ast
import base64
import contextlib
import importlib.util
import io
import json
import os
import re
from pathlib import Path

import nbformat
import pytest
from course import CHAPTERS, check, navigation
from course.chapters import chapter_table

from s3rec_lite.labs import LABS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "notebooks"
MAX_CELL_LINES = 30
IGNORED = "nbval-ignore-output"
MACHINE = re.compile(r"/root/|/home/|/work/|/tmp/|/Users/|[A-Z]:\\\\|0x[0-9a-f]{6,}")
LIBRARY_WARNING = re.compile(r"\b\w*Warning:")
DECIMAL = re.compile(r"(?<![\w.\d])-?(\d*\.\d{3,})(?!\d)")
chapters = pytest.mark.parametrize("chapter", CHAPTERS, ids=[chapter.file[:-6] for chapter in CHAPTERS])


def notebook_of(chapter):
    return nbformat.read(FOLDER / chapter.file, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell):
    return cell.metadata.get("tags", [])


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def output_text(cell):
    """Everything that a cell printed or showed, but pictures."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        parts += [value for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(parts)


def test_the_folder_holds_the_chapters_and_nothing_half_made():
    numbered = sorted(path.name for path in FOLDER.glob("[0-9][0-9]_*.ipynb"))
    assert numbered == [chapter.file for chapter in CHAPTERS]
    assert [chapter.number for chapter in CHAPTERS] == list(range(len(CHAPTERS)))


@chapters
def test_head_and_foot_name_the_chapter_and_its_neighbours(chapter):
    cells = notebook_of(chapter).cells
    head = cells[0].source
    assert head.splitlines()[0] == f"# {chapter.label}"
    assert navigation(chapter.number) in head
    assert cells[-1].source.rstrip().endswith(navigation(chapter.number))
    assert re.search(rf"\b{chapter.minutes} min|Minutes:\**\s*{chapter.minutes}\b", head), "how long it takes"
    assert re.search(rf"\b{chapter.exercise_minutes} for the exercises", head), "how long the exercises take"


@chapters
def test_every_chapter_follows_the_pattern(chapter):
    notebook = notebook_of(chapter)
    text = prose(notebook)
    for heading in ("Exercises", "Takeaways", "References"):
        assert re.search(rf"^## (\d+\. )?{heading}", text, re.M), heading
    assert re.search(r"^\|.*[Pp]aper.*\|.*[Aa]uthors.*\|.*RecBole.*\|.*[Hh]ere.*\|", text, re.M)
    assert "What you will be able to do" in text
    (parameters,) = [cell for cell in code_cells(notebook) if "parameters" in tags(cell)]
    assert parameters.source.startswith("fast = True")
    assert code_cells(notebook)[0] is parameters


@chapters
def test_every_cell_was_run_in_order_and_shows_what_it_gave(chapter):
    cells = code_cells(notebook_of(chapter))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        if "print(" in cell.source and not re.search(r"^\s+print|def |if |except", cell.source, re.M):
            assert cell.outputs, cell.source
        last = ast.parse(cell.source).body[-1] if cell.source.strip() else None
        if isinstance(last, ast.Expr) and not isinstance(last.value, ast.Call | ast.Constant):
            assert cell.outputs or cell.source.rstrip().endswith(";"), cell.source


@chapters
def test_no_output_holds_an_error_a_warning_or_a_path_of_a_machine(chapter):
    for cell in code_cells(notebook_of(chapter)):
        kinds = {output.output_type for output in cell.outputs}
        assert "error" not in kinds, cell.source
        assert not [output for output in cell.outputs if output.get("name") == "stderr"], cell.source
        found = output_text(cell)
        assert not MACHINE.search(found), found
        assert not LIBRARY_WARNING.search(found), found
        assert "\x1b" not in found


@chapters
def test_two_thirds_of_the_outputs_are_compared_and_cells_are_short(chapter):
    cells = code_cells(notebook_of(chapter))
    with_output = [cell for cell in cells if cell.outputs]
    ignored = [cell for cell in with_output if IGNORED in tags(cell)]
    assert len(with_output) >= 5
    assert 3 * len(ignored) <= len(with_output)
    for cell in cells:
        assert len(cell.source.splitlines()) <= MAX_CELL_LINES, cell.source[:200]
    for cell in [cell for cell in ignored if "lab" not in tags(cell)]:
        assert "assert" in cell.source or not output_text(cell).strip() or "assert" in following(cells, cell), (
            "a cell whose output is not compared says with an assert what must hold:\n" + cell.source
        )


def following(cells, cell):
    """The source of the next code cell."""
    place = [other is cell for other in cells].index(True)
    return cells[place + 1].source if place + 1 < len(cells) else ""


@chapters
def test_links_to_files_and_headings_lead_somewhere(chapter):
    text = prose(notebook_of(chapter))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:", "attachment:")):
            continue
        file, _, anchor = target.partition("#")
        path = (FOLDER / file).resolve() if file else FOLDER / chapter.file
        assert path.exists(), f"{target} leads nowhere"
        if anchor and path.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                target
            )


def shown_figures(notebook):
    """Name and alt text of every figure, with the cell that makes it."""
    for cell in code_cells(notebook):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "course.show":
                yield ast.literal_eval(node.args[1]), cell


@chapters
def test_every_figure_is_kept_with_alt_text(chapter):
    notebook = notebook_of(chapter)
    names = []
    for name, cell in shown_figures(notebook):
        names.append(name)
        (output,) = [output for output in cell.outputs if "image/png" in output.get("data", {})]
        kept = ROOT / "figures" / f"{name}.png"
        assert base64.b64decode(output["data"]["image/png"]) == kept.read_bytes(), f"{name}: run `make notebooks`"
        alt = kept.with_suffix(".txt").read_text(encoding="utf-8").strip()
        assert len(alt) > 40
        assert output["metadata"]["image/png"]["alt"].strip() == alt
    assert names, "a chapter without a figure"
    assert len(set(names)) == len(names)
    kept = {path.stem for path in (ROOT / "figures").glob(f"{chapter.number:02d}-*.png")}
    assert kept == set(names), "figures/ holds what the chapter shows, no more"
    others = [cell for cell in code_cells(notebook) if "lab" not in tags(cell)]
    pictures = [out for cell in others for out in cell.outputs if "image/png" in out.get("data", {})]
    assert len(pictures) == len(names), "every picture goes through course.show"


def numbers_in(value):
    """Every number in a JSON value, and in its texts."""
    if isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, int | float):
        yield abs(float(value))
    elif isinstance(value, str):
        yield from (float(found) for found in re.findall(r"\d*\.\d+", value))


@pytest.fixture(scope="module")
def known_numbers():
    files = [ROOT / "data" / "published.json", *(ROOT / "data" / "results").glob("*.json")]
    return sorted({number for file in files for number in numbers_in(json.loads(file.read_text(encoding="utf-8")))})


@chapters
def test_precise_numbers_in_the_prose_are_published_recorded_or_computed_here(chapter, known_numbers):
    notebook = notebook_of(chapter)
    here = "\n".join(cell.source + "\n" + output_text(cell) for cell in code_cells(notebook))
    computed = {float(found) for found in re.findall(r"\d*\.\d+", here)}
    for found in DECIMAL.findall(
        re.sub(r"\(?https?://\S+|doi:\S+|arXiv:? ?\S+|10\.\d{4,}/\S+|```.*?```", "", prose(notebook), flags=re.S)
    ):
        digits = len(found.partition(".")[2])
        close = 0.51 * 10**-digits
        assert any(abs(float(found) - number) <= close for number in (*known_numbers, *computed)), (
            f"{found} is neither in data/ nor computed in this chapter"
        )


def test_labs_are_in_their_chapters_and_all_together_with_a_picture_for_readers_without_a_kernel():
    shown = {}
    for path in sorted(FOLDER.glob("*.ipynb")):
        for cell in code_cells(nbformat.read(path, as_version=4)):
            for name in re.findall(r'labs\.show\("([a-z-]+)"\)', cell.source):
                shown.setdefault(path.name, []).append(name)
                pictures = [out for out in cell.outputs if "image/png" in out.get("data", {})]
                assert len(pictures) == 1, f"{path.name}: {name}"
                assert len(pictures[0]["metadata"]["image/png"]["alt"]) > 40
                assert not [out for out in cell.outputs if any("widget" in kind for kind in out.get("data", {}))]
                assert "make lab" in output_text(cell)
    together = shown.pop("labs.ipynb")
    assert sorted(together) == sorted(LABS)
    assert sorted(name for names in shown.values() for name in names) == sorted(LABS)


# --- exercises ------------------------------------------------------------------------------------------------


def exercise_parts(notebook):
    """Number to the solution in the prose, the stub cell and the check cell."""
    found = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for number, body in re.findall(r"^### Exercise (\d)\.(.*?)(?=^### |^## |\Z)", cell.source, re.M | re.S):
                blocks = re.findall(r"<summary>(?:<b>)?Solution.*?```python\n(.*?)```", body, re.S)
                assert len(blocks) == 1, f"exercise {number} has one folded solution"
                assert "<summary>Hint" in body, f"exercise {number} has a hint"
                assert re.search(r"\((●○○|●●○|●●●), \d+ min", body), f"exercise {number}: difficulty and minutes"
                found[int(number)] = blocks[0]
    stubs = {int(tag[9:]): cell for cell in code_cells(notebook) for tag in tags(cell) if tag.startswith("exercise-")}
    checks = {int(tag[6:]): cell for cell in code_cells(notebook) for tag in tags(cell) if tag.startswith("check-")}
    assert sorted(found) == sorted(stubs) == sorted(checks) == list(range(1, len(found) + 1))
    return {number: (found[number], stubs[number], checks[number]) for number in found}


@chapters
def test_the_minutes_of_the_exercises_add_up(chapter):
    text = "\n".join(cell.source for cell in notebook_of(chapter).cells if cell.cell_type == "markdown")
    minutes = re.findall(r"^### Exercise \d\..*?(\d+) minutes\)", text, re.M)
    assert sum(map(int, minutes)) == chapter.exercise_minutes


def setup_of(notebook):
    """The light cells that exercises may use."""
    return [cell.source for cell in code_cells(notebook) if {"setup", "parameters"} & set(tags(cell))]


def mistakes_of(chapter):
    path = ROOT / "tests" / "course" / "exercise_mistakes" / f"chapter_{chapter.number:02d}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.MISTAKES


def said(code, namespace):
    """What running these cells prints."""
    buffer = io.StringIO()
    with contextlib.redirect_stdout(buffer):
        for source in code:
            exec(compile(source, "cell", "exec"), namespace)
    return buffer.getvalue()


@chapters
@pytest.mark.notebooks
def test_solutions_are_right_blanks_are_blank_and_mistakes_are_named(chapter, monkeypatch):
    monkeypatch.chdir(FOLDER)
    monkeypatch.delenv("S3REC_WRITE_FIGURES", raising=False)
    notebook = notebook_of(chapter)
    parts, mistakes = exercise_parts(notebook), mistakes_of(chapter)
    assert 3 <= len(parts) <= 5
    assert set(mistakes) == set(parts), "every exercise has a known mistake"
    ready = {"__name__": "__main__"}
    said(setup_of(notebook), ready)
    for number, (solution, stub, checking) in parts.items():
        assert said([stub.source, checking.source], dict(ready)) == f"Exercise {number}: not attempted yet.\n"
        assert said([solution, checking.source], dict(ready)).endswith(f"Exercise {number}: right.\n")
        for wrong, fragment in mistakes[number]:
            message = said([wrong, checking.source], dict(ready))
            assert message.startswith(f"Exercise {number}: not yet. "), wrong
            assert fragment in message, wrong


def test_the_check_of_an_exercise_never_stops_a_notebook(capsys):
    def diagnose(answer):
        return None if answer(2) == 4 else "Did you square it?"

    for number, answer in enumerate((lambda x: x * x, lambda x: x + 3, lambda x: ..., None, lambda x: 1 / 0), start=1):
        assert check(number, answer, diagnose) is None  # a value would be shown under the line
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Exercise 1: right."
    assert lines[1] == "Exercise 2: not yet. Did you square it?"
    assert lines[2:4] == ["Exercise 3: not attempted yet.", "Exercise 4: not attempted yet."]
    assert lines[4] == "Exercise 5: not yet. It raised ZeroDivisionError: division by zero"


def test_the_readme_lists_every_chapter_with_measured_seconds():
    seconds = json.loads((ROOT / "data" / "results" / "course-times.json").read_text(encoding="utf-8"))["seconds"]
    assert chapter_table("notebooks/", seconds) in (ROOT / "README.md").read_text(encoding="utf-8")
    assert max(seconds.values()) <= 60
    assert sum(seconds.values()) <= 8 * 60


def test_running_a_chapter_writes_nothing():
    assert os.environ.get("S3REC_WRITE_FIGURES") != "1"
