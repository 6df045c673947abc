"""What all chapters share: their list, exercise checks, published numbers, and how a figure is shown.

``chapters`` lists the chapters, ``exercises`` checks an answer, ``numbers`` gives what others published and what the
kit recorded, ``saving`` shows a figure with its alt text. Chapters import this from the folder of the notebooks, where
their kernel runs; `tools` and the tests read the list of chapters too.
"""

from course.chapters import CHAPTERS, Chapter, chapter_table, navigation
from course.exercises import check
from course.numbers import project_root, published, records
from course.saving import show

__all__ = [
    "CHAPTERS",
    "Chapter",
    "chapter_table",
    "check",
    "navigation",
    "project_root",
    "published",
    "records",
    "show",
]
