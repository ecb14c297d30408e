"""Paths on remote file systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from pyarrow import fs

__all__ = ["FarPath", "opened"]


@dataclass(frozen=True)
class FarPath:
    """A path on a file system of pyarrow: what `Path` is on disk.

    Attributes
    ----------
    system : pyarrow.fs.FileSystem
    inside : str
        The path as the system knows it.
    url : str
        The path as people know it, without credentials.
    """

    system: fs.FileSystem
    inside: str
    url: str

    def __truediv__(self, name: str) -> FarPath:
        return FarPath(self.system, f"{self.inside}/{name}", f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.inside.rpartition("/")[2]


def opened(path: Path | FarPath) -> Path | pa.NativeFile:
    """What Parquet readers take."""
    return path.system.open_input_file(path.inside) if isinstance(path, FarPath) else path
