"""Our stores, opened as if for the first time."""

from __future__ import annotations


def opened(path):
    """Journeys of a folder; columns are read when they are asked for."""
    import cjm_analytics as cjm

    return cjm.open_journeys(path)


def forget() -> None:
    """Keep nothing of the columns that were read before."""
    import cjm_analytics as cjm

    cjm.set_memory_budget(0)
    cjm.set_memory_budget("512 MB")
