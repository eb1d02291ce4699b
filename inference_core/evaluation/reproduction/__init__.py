"""The tables and figures of the papers, made again at a stated budget.

The CT paper (Jung et al., MICCAI 2022):

:mod:`methods` says what is compared, :mod:`budget` trains each at the same CPU time, :mod:`temporal_data` makes what
table 2 is measured on, :mod:`table1` and :mod:`table2` measure, :mod:`figures` draws, :mod:`results` writes.

The endoscopy paper (Tomasini et al., SASHIMI 2024): ``endoscopy`` and the modules whose names begin so. :mod:`together`
has several trainings go on at once, :mod:`trainings` tells of them; :mod:`budget` and :mod:`results` serve both.
"""
