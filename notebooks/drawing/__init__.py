"""The drawings of the chapters, one module each; data in, axes out.

``map`` (chapter 00), ``information`` (01), ``views`` (02), ``encoder`` (03), ``attributes`` (04 and 06), ``contrasts``
(05 and 07), ``joint`` (08), ``evaluation`` (09) and ``results`` (10). Chapters import them from this folder, where
their kernel runs; the parts that all drawings share are in `s3rec_lite.figures.plots`.
"""
