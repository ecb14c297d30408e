"""The works that are timed: one module each, with our way and each peer's way to the same answer.

A module says its `TITLE`, its `GOALS` (our way, the peers it is compared with, how many times as quick) and
its `WAYS`: by name a function that gets the place of the data, makes ready what is not timed, and returns the
call that is. That call returns the answer, plain numbers and texts, which are equal for all ways.
"""
