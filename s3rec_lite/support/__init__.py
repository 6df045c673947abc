"""What everything else stands on: errors, settings, files, the machine, text, checks, and speed tricks.

``errors``: what a user can meet. ``config``: every setting. ``checks``: of data sets and histories. ``files``: atomic
writing, safe reading. ``scan``: what a checkpoint asks for. ``runtime``: devices, precision, random streams.
``gradients``: of the parts of a batch, and their sum. ``workers``: processes that share a run. ``optimizer``: Adam and
its guards. ``keeper``: state between epochs. ``early_stopping``: when fine-tuning ends. ``scorer``: what can be
ranked. ``draws``: negatives for a batch at once. ``softmax``: over all items in chunks, or over a sample. ``fast``:
speed tricks, each beside its plain line. ``text``: suggestions, digests, tables. ``shell``: commands to paste.
"""
