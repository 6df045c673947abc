"""What everything else stands on: errors, settings, files, the machine, text, checks, and speed tricks.

``errors``: what a user can meet. ``config``: every setting. ``checks``: of data sets and histories. ``files``: atomic
writing, safe reading. ``scan``: what a checkpoint asks for. ``runtime``: devices, precision, random streams.
``optimizer``: Adam and its guards. ``fast``: speed tricks, each beside its plain line. ``text``: suggestions, digests,
tables. ``shell``: commands to paste.
"""
