"""How kernels are compiled that only other kernels call: without a way in from Python, in half the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["inner"]

_Kernel = TypeVar("_Kernel", bound="Callable[..., object]")


def inner(kernel: _Kernel) -> _Kernel:
    """Compile a kernel; only other kernels can call the result."""
    compiled = njit(nogil=True, cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)  # type: ignore[call-overload] # two options that its types lack
    return cast("_Kernel", compiled(kernel))
