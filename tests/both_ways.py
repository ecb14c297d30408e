"""What a loader makes of whole columns is what it makes of rows one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cjm_analytics.loaders.source import whole
from cjm_analytics.loaders.vendor import Reading

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from cjm_analytics.loaders.source import EventStream


def columns_tell_what_rows_tell(load: Callable[[], EventStream], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Read in both ways and hold one against the other; whether any block was read by columns at all."""
    by_columns, found = Reading._by_columns, []

    def noted(*given):
        found.append(made := by_columns(*given))
        return made

    with monkeypatch.context() as patched:
        patched.setattr(Reading, "_by_columns", noted)
        one = _told(load())
        patched.setattr(Reading, "_by_columns", lambda *_: None)
        assert one == _told(load())
    return any(made is not None for made in found)


def _told(stream):
    """All that is read, in no order: `seq` numbers the rows as they come, which is no part of it."""
    batch = whole(stream.batches())
    events = [
        sorted((name, str(cell)) for name, cell in row.items() if cell is not None and name != "seq")
        for row in batch.events.to_pylist()
    ]
    links = {(one["alias"], one["user_id"], one["kind"]) for one in batch.links.to_pylist()}
    rejects = sorted((one["src_row"], one["reason"].partition(":")[0]) for one in batch.rejects.to_pylist())
    return sorted(events), links, rejects, batch.n_read, batch.n_excluded, batch.n_nameless
