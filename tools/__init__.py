"""What only a checkout needs: README tables, executing chapters, building and grading assignments."""
