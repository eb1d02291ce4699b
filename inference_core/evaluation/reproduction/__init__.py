"""The tables and figures of the CT paper (Jung et al., MICCAI 2022), made again at a stated budget.

:mod:`methods` says what is compared, :mod:`budget` trains each at the same CPU time, :mod:`temporal_data` makes what
table 2 is measured on, :mod:`table1` and :mod:`table2` measure, :mod:`figures` draws, :mod:`results` writes.
"""
