"""Figures: the look and the parts that all of them share.

``plots`` holds style, palette, lines, intervals, labels and how a picture is written; ``records`` draws a reproduction
from its run records. The drawings of the chapters stand beside the notebooks, in notebooks/drawing.
"""
