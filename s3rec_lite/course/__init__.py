"""What chapters and assignments share: the list of chapters, exercise checks, published numbers, gradients.

``chapters`` lists the chapters, ``exercises`` checks an answer, ``numbers`` gives what others published and what the
kit recorded, and ``gradients`` compares those of all four objectives (chapter 08, assignment 05, the lab on weights).
What the chapters alone use stands beside them: their drawings and measurements, in notebooks/drawing and measuring.
"""

from s3rec_lite.course.chapters import CHAPTERS, Chapter, chapter_table, navigation
from s3rec_lite.course.exercises import check
from s3rec_lite.course.numbers import project_root, published, records
from s3rec_lite.figures.saving import show

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
