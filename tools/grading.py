"""Steps that nbgrader takes for the assignments besides its own; nbgrader_config.py puts them in place.

Grading: whatever a submission has defined, each test cell runs with the helpers of the assignment. Feedback: pages show
what the hidden tests said, but not the tests.
"""

import ast
import html
import re
from collections.abc import Iterator
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbconvert.preprocessors import CSSHTMLHeaderPreprocessor, Preprocessor
from nbgrader.converters.autograde import Autograde
from nbgrader.preprocessors import Execute, GetGrades
from traitlets import Bool

STAND_IN = "# Hidden tests stand here. What they found is below."
REGION = re.compile(r"^[^\n]*BEGIN HIDDEN TESTS.*?END HIDDEN TESTS[^\n]*$", re.DOTALL | re.MULTILINE)
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_QUOTED = re.compile(r"\s*(?:-+>)?\s*\d+\s(.*)")  # a line of a traceback: arrow, line number, code
_LONG = 12  # characters that make a line of code recognisable inside another one

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORTS = ast.Import | ast.ImportFrom
_OWN_SCOPE = ast.Lambda | ast.comprehension


class ExecuteWithHelpers(Execute):
    """Run a notebook; before each test cell define the helpers of the assignment afresh."""

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> tuple[Any, Any]:
        """Run one cell."""
        if cell.cell_type == "code" and _facts(cell).get("grade"):
            helpers = nbformat.v4.new_code_cell(_helper_source(self.nb.cells[:index]))
            self.execute_cell(helpers, index, store_history=False)
        return super().preprocess_cell(cell, resources, index)


class HideTests(Preprocessor):
    """Take hidden tests out of a graded notebook: out of the cells, and their lines out of tracebacks and prints."""

    enabled = Bool(True, help="Whether feedback pages are made without the hidden tests.").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """One notebook."""
        cells = [cell for cell in nb.cells if cell.cell_type == "code"]
        regions = [region for cell in cells for region in REGION.findall(cell.source)]
        hidden = {line.strip() for region in regions for line in region.splitlines()} - {""}
        for cell in cells:
            cell.source = REGION.sub(STAND_IN, cell.source)
            for output in cell.outputs:
                _clean_output(output, hidden)
        return nb, resources


def grading_steps() -> list[type]:
    """What `nbgrader autograde` does with a submission."""
    steps = Autograde.autograde_preprocessors.default()
    return [ExecuteWithHelpers if step is Execute else step for step in steps]


def feedback_steps() -> list[type]:
    """What `nbgrader generate_feedback` does with a graded notebook."""
    return [GetGrades, HideTests, CSSHTMLHeaderPreprocessor]


def _facts(cell: Any) -> dict[str, Any]:
    """nbgrader's settings of a cell."""
    return cell.metadata.get("nbgrader", {})


def _clean_output(output: Any, hidden: set[str]) -> None:
    """Take lines of hidden tests out of one output."""
    if output.output_type == "error":
        output.traceback = [_without_lines(text, hidden) for text in output.traceback]
        output.evalue = _without_lines(output.evalue, hidden)
    elif output.output_type == "stream":
        output.text = _without_lines(output.text, hidden)
    else:
        for kind, text in output.get("data", {}).items():
            if isinstance(text, str) and kind.startswith("text/"):
                output.data[kind] = _without_lines(text, hidden)


def _without_lines(text: str, hidden: set[str]) -> str:
    """A text without the lines that quote one of the hidden ones."""
    return "\n".join(line for line in text.split("\n") if not _quotes(line, hidden))


def _quotes(line: str, hidden: set[str]) -> bool:
    """Whether a line of an output shows a line of a hidden test."""
    line = html.unescape(_COLOR.sub("", line))
    code = _QUOTED.fullmatch(line)
    return bool(code and code[1].strip() in hidden) or any(len(part) >= _LONG and part in line for part in hidden)


def _helper_cells(cells: list[Any]) -> list[ast.Module]:
    """The code cells that students cannot change and that carry no points."""
    locked = [cell for cell in cells if cell.cell_type == "code" and _facts(cell).get("locked")]
    return [_parse(cell.source) for cell in locked if not _facts(cell).get("grade")]


def _helper_source(cells: list[Any]) -> str:
    """Imports, functions, classes and constants of those cells, and nothing else that they do."""
    statements = [statement for module in _helper_cells(cells) for statement in module.body]
    return "\n".join(ast.unparse(statement) for statement in statements if _is_helper(statement))


def _is_helper(statement: ast.stmt) -> bool:
    """Whether a statement defines functions, classes, modules or constants, with names in capitals."""
    if isinstance(statement, ast.Assign):
        names = [name for name, _ in bound([statement])]
        return bool(names) and all(name.isupper() for name in names)
    return isinstance(statement, _DEFINITIONS | _IMPORTS)


def redefined(cells: list[Any]) -> Iterator[tuple[str, str]]:
    """Cells of a submission, by grade id, and the helpers that they define anew."""
    statements = [statement for module in _helper_cells(cells) for statement in module.body if _is_helper(statement)]
    helpers = dict(bound(statements))
    for cell in cells:
        if cell.cell_type == "code" and not _facts(cell).get("locked"):
            for name, imported in sorted(set(bound(_parse(cell.source).body))):
                if name in helpers and not (imported and helpers[name]):
                    yield _facts(cell).get("grade_id", "an extra cell"), name


def _parse(source: str) -> ast.Module:
    """A cell without its magics; nothing if it is not Python."""
    try:
        return ast.parse(TransformerManager().transform_cell(source))
    except SyntaxError:
        return ast.Module([], [])


def bound(statements: list[Any]) -> Iterator[tuple[str, bool]]:
    """Global names that statements bind, and whether an import does it."""
    for node in statements:
        if isinstance(node, _DEFINITIONS):
            yield node.name, False
            yield from ((name, False) for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names)
        elif isinstance(node, _IMPORTS):
            yield from (((alias.asname or alias.name).split(".")[0], True) for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.id, False
        elif not isinstance(node, _OWN_SCOPE):
            yield from bound(list(ast.iter_child_nodes(node)))
