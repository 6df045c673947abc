"""Settings of nbgrader for the assignments: source versions in notebooks/assignments, all else below build/nbgrader.

Run nbgrader's commands in this folder. What they do is told in notebooks/assignments/README.md.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # nbgrader's commands do not look here

from tools import grading

c = get_config()  # noqa: F821 (nbgrader puts it here)

# nbgrader calls alembic by name: find it beside this Python, also where the environment is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

root = Path(__file__).resolve().parent
build = root / "build" / "nbgrader"
build.mkdir(parents=True, exist_ok=True)

c.CourseDirectory.course_id = "s3rec"
c.CourseDirectory.root = str(root)
c.CourseDirectory.source_directory = "notebooks/assignments"
c.CourseDirectory.release_directory = "build/nbgrader/release"
c.CourseDirectory.submitted_directory = "build/nbgrader/submitted"
c.CourseDirectory.autograded_directory = "build/nbgrader/autograded"
c.CourseDirectory.feedback_directory = "build/nbgrader/feedback"
c.CourseDirectory.solution_directory = "build/nbgrader/solution"
c.CourseDirectory.db_url = f"sqlite:///{build / 'gradebook.db'}"
c.CourseDirectory.ignore = ["README.md", ".ipynb_checkpoints", "*.pyc", "__pycache__"]

# Where `nbgrader release_assignment` and `collect` meet students on one machine; name a shared folder for a real class.
exchange = Path(os.environ.get("NBGRADER_EXCHANGE", build / "exchange"))
exchange.mkdir(parents=True, exist_ok=True)
c.Exchange.root = str(exchange)

# A cell that never ends is stopped, and the rest of the notebook is graded; so is every other submission.
c.Execute.timeout = 60  # seconds a cell
c.Execute.interrupt_on_timeout = True

# An answer cannot switch the tests off by defining their helpers anew, and feedback pages show no hidden test.
c.Autograde.autograde_preprocessors = grading.grading_steps()
c.GenerateFeedback.preprocessors = grading.feedback_steps()

c.ClearSolutions.code_stub = {"python": "# Write your answer here.\nraise NotImplementedError"}
