"""Assignment 2, graded."""

from assignment_suite import AssignmentSuite


class TestViews(AssignmentSuite):
    name = "02_views"
