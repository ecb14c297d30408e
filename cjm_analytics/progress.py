"""A progress bar where somebody is looking, silence elsewhere."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["expect", "progress_bar"]


def progress_bar(title: str, *, unit: str, total: int | None = None, show: bool | None = None) -> tqdm[Any]:
    """A bar that counts `unit`s; `show=None` shows it in terminals and notebooks only."""
    notebook = "ipykernel" in sys.modules
    if notebook and find_spec("ipywidgets"):
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm

    if show is None:
        show = notebook or sys.stderr.isatty()
    return tqdm(desc=title, unit=f" {unit}", unit_scale=True, total=total, disable=not show, leave=False)


def expect(bar: tqdm[Any], total: int | None) -> None:
    """Tell a bar under way how far it has to go, so that it shows the time left; None: nobody knows."""
    bar.total = total
    widget = getattr(bar, "container", None)
    if widget is not None and total is not None:
        _, drawn, _ = widget.children
        drawn.max, drawn.bar_style = total, ""
