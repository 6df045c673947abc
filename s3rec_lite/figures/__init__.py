"""Figures: `plots` holds the look, the parts that all figures share, the curves of a run and how a figure is saved;
`records` draws a reproduction from its run records, and `saving` shows a figure in a notebook, with alt text. The
others hold the figures of the chapters: `map` (0), `information` (1), `views` (2), `encoder` (3), `attributes` (4, 6),
`contrasts` (5, 7), `evaluation` (9) and `results` (10); data in, axes out.
"""
