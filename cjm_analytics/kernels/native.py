"""Kernels are compiled once per installation; later processes run them without Numba.

A kernel is compiled for the kinds of arguments that it is called with. What Numba makes of it becomes one
piece of machine code that can lie anywhere in memory (`cjm_analytics.kernels.compiling`), and is kept in a
file. A later process puts it into memory and jumps into it: neither Numba nor LLVM is loaded, which would
take half a second and 0.12 GB.

The file lies where Numba would keep its own: in the folder that NUMBA_CACHE_DIR names, else beside the byte
code of this package, else among the user's cached files. It belongs to one text of the kernels, one version
of Python and Numba, one processor and one setting of Numba; one that is older or damaged is made anew.

So it is on Linux with an x86-64 processor. Elsewhere, where memory may not hold code, and for a kernel whose
code cannot be moved, Numba runs the kernel; it also does where the code reports an error, to say which.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import itertools
import json
import mmap
import os
import platform
import struct
import sys
import tempfile
import threading
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Kernel", "Native", "kernel"]

_Function = TypeVar("_Function", bound="Callable[..., object]")

_HERE = Path(__file__).parent

_PROBE = np.zeros(1)
_START = object.__basicsize__
"""Where an array says where its memory begins: first of all. To ask by name takes ten times as long."""

_field = ctypes.c_void_p.from_address
_MOVES = (
    (sys.platform, platform.machine()) == ("linux", "x86_64")
    and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
    and _field(id(_PROBE) + _START).value == _PROBE.ctypes.data
)
"""Whether code can be kept here."""

_NONE = -2
"""What a kernel's code may return instead of 0 if the result is None; all else are errors."""

_LAYOUT = 0x503
"""The flags of an array on which code depends: rows or columns side by side, aligned, writeable."""

_ARRAY = "PPqqP"
"""Who owns an array's memory (two fields), its size, bytes per item, start; shape and strides follow."""

_DIGEST = 16
_LENGTH = struct.Struct("<I")


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called; arrays, numbers and tuples of them go in."""
    return cast("_Function", Kernel(function))


class Native(NamedTuple):
    """A kernel's machine code, and what is needed to call it.

    Attributes
    ----------
    enter, release : int
        Where in the code the kernel begins, and the function that lets go of an array that it made.
    imports : dict of str to int
        Where the code looks for the addresses of functions of the system.
    absolute : list of pairs of int
        Places that hold the address of a place in the code itself, and of which.
    returned : list
        What comes back: a form ("none", "number", "array", "tuple") and what it needs.
    code : bytes
    """

    enter: int
    release: int
    imports: dict[str, int]
    absolute: list[tuple[int, int]]
    returned: list[Any]
    code: bytes


class Kernel:
    """A function that is compiled for the kinds of arguments that it is called with."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
        self._ready: dict[tuple[object, ...], Callable[..., Any]] = {}
        self._lock = threading.Lock()

    def __call__(self, *arguments: Any) -> Any:
        if not _MOVES:
            return self.compiled(*arguments)
        kinds: list[Any] = []
        slots: list[Any] = []
        _spread(arguments, kinds, slots)
        known = tuple(kinds)
        run = self._ready.get(known)
        if run is None:
            with self._lock:
                run = self._ready.get(known) or self._prepared(arguments, known, slots)
                self._ready[known] = run
        return run(arguments, slots)

    @functools.cached_property
    def compiled(self) -> Any:
        """Numba's own version of the kernel."""
        from numba import njit

        _tell_numba()
        return njit(nogil=True, cache=True)(self._function)

    @functools.cached_property
    def inner(self) -> Any:
        """Numba's version for other kernels to call: without a way in from Python, in half the time."""
        from numba import njit

        _tell_numba()
        options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        return njit(nogil=True, cache=not _MOVES, **options)(self._function)

    def by_numba(self, arguments: tuple[Any, ...], _: object = None) -> Any:
        """Call Numba's version."""
        return self.compiled(*arguments)

    def _prepared(
        self, arguments: tuple[Any, ...], kinds: tuple[object, ...], slots: list[Any]
    ) -> Callable[..., Any]:
        """What runs the kernel for these kinds of arguments."""
        if not any(type(one) is int and one.bit_length() > 63 for one in slots):  # noqa: PLR2004 - Numba takes other types then
            with suppress(OSError):  # memory may not hold code here
                native = self._kept(arguments, kinds)
                if native:
                    return _Loaded(native, slots, self)
        return self.by_numba

    def _kept(self, arguments: tuple[Any, ...], kinds: tuple[object, ...]) -> Native | None:
        """The code in the file, else what Numba makes now; None if that cannot be moved."""
        of = _digest(_surroundings().encode(), repr(kinds).encode()).hex()
        name = f"{self._name}-{of}.code"
        for folder in _folders():
            with suppress(OSError, ValueError):
                return _read(folder / name)
        from cjm_analytics.kernels.compiling import compiled

        try:
            native = compiled(self.inner, arguments)
        except Exception:  # noqa: BLE001 - an older or newer Numba may be made otherwise, and still run it
            return None
        for folder in _folders():
            with suppress(OSError):
                _write(folder / name, native)
                break
        return native


@functools.cache
def _tell_numba() -> None:
    """Let Numba see, in a kernel that calls another one, what it can compile."""
    from numba.extending import typeof_impl

    typeof_impl.register(Kernel)(lambda one, context: typeof_impl(one.inner, context))


def _spread(values: tuple[Any, ...], kinds: list[Any], slots: list[Any]) -> None:
    """The kinds of values, and the numbers that they are made of in the order in which Numba passes them."""
    for value in values:
        if isinstance(value, np.ndarray):
            kinds += (value.dtype, value.ndim, value.flags.num & _LAYOUT)
            start = _field(id(value) + _START).value
            slots += (0, 0, value.size, value.itemsize, start, *value.shape, *value.strides)
        elif isinstance(value, tuple):
            kinds += (type(value), len(value))
            _spread(value, kinds, slots)
        else:
            kinds.append(type(value))
            slots.append(value)


# Running kept code


class _Loaded:
    """A kernel's code in memory."""

    def __init__(self, native: Native, slots: list[Any], kernel: Kernel) -> None:
        self._memory = mmap.mmap(-1, len(native.code))
        self._memory[:] = native.code
        start = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        for name, place in native.imports.items():
            struct.pack_into("P", self._memory, place, _address(name))
        for place, target in native.absolute:
            struct.pack_into("P", self._memory, place, start + target)
        if _system().mprotect(
            ctypes.c_void_p(start), ctypes.c_size_t(len(native.code)), mmap.PROT_READ | mmap.PROT_EXEC
        ):
            raise OSError(ctypes.get_errno(), "memory may not hold code")
        self._enter = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(start + native.enter)
        self.release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(start + native.release)
        self._slots = struct.Struct("".join(_slot(one) for one in slots))
        self._returned = native.returned
        self._result = struct.Struct(_form(native.returned))
        self._kernel = kernel

    def __call__(self, arguments: tuple[Any, ...], slots: list[Any]) -> Any:
        result = ctypes.create_string_buffer(self._result.size + 8)
        try:
            packed = self._slots.pack(*slots)
        except struct.error:  # an integer beyond 63 bits
            return self._kernel.by_numba(arguments)
        status = self._enter(result, packed)
        if status == _NONE:
            return None
        if status:
            return self._kernel.by_numba(arguments)
        return self._made(self._returned, iter(self._result.unpack_from(result)), arguments)

    def _made(self, returned: list[Any], fields: Iterator[Any], arguments: tuple[Any, ...]) -> Any:
        """The result as Python has it."""
        form, *needs = returned
        if form == "none":
            return None
        if form == "number":
            return next(fields)
        if form == "tuple":
            kind, parts = needs
            made = (self._made(one, fields, arguments) for one in parts)
            return _named(*kind)(*made) if kind else tuple(made)
        owner, _, _, _, start = (next(fields) for _ in range(5))
        dtype, n = needs
        shape = tuple(next(fields) for _ in range(n))
        strides = tuple(next(fields) for _ in range(n))
        return np.asarray(_Memory(self, owner, arguments, dtype, start, shape, strides))


class _Memory:
    """Memory of an array that a kernel made, or of an argument that it returned a part of."""

    def __init__(
        self, loaded: _Loaded, owner: int, arguments: tuple[Any, ...], dtype: str, start: int,
        shape: tuple[int, ...], strides: tuple[int, ...],
    ) -> None:  # fmt: skip
        self._loaded = loaded
        self._owner = owner
        self._arguments = None if owner else arguments
        self.__array_interface__ = {
            "version": 3, "typestr": dtype, "data": (start, False), "shape": shape, "strides": strides,
        }  # fmt: skip

    def __del__(self) -> None:
        if self._owner:
            self._loaded.release(self._owner)


def _slot(value: Any) -> str:
    """How a number is packed into eight bytes."""
    if isinstance(value, (bool, np.bool_)):
        return "?7x"
    if isinstance(value, float):
        return "d"
    return "Q" if isinstance(value, np.uint64) else "q"


def _form(returned: list[Any]) -> str:
    """How a result lies in memory."""
    form, *needs = returned
    if form == "tuple":
        return "".join(_form(one) for one in needs[1])
    return _ARRAY + "q" * 2 * needs[1] if form == "array" else "".join(needs)


@functools.cache
def _named(module: str, name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


@functools.cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _address(name: str) -> int:
    """Where a function of the system is, of its C library or its mathematics."""
    library = _system() if hasattr(_system(), name) else ctypes.CDLL("libm.so.6")
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except AttributeError as error:
        raise OSError(*error.args) from error


# The file


def _folders() -> tuple[Path, ...]:
    """Where code is kept, the first folder that takes it."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return (Path(chosen),)
    cached = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return _HERE / "__pycache__", cached.expanduser() / "cjm_analytics"


def _write(path: Path, native: Native) -> None:
    """All at once: whoever reads it meanwhile finds the old file, the new one or none."""
    told = json.dumps([_text(), *native[:-1]]).encode()
    content = _LENGTH.pack(len(told)) + told + native.code
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        new = Path(file.name)
        try:
            file.write(_digest(content) + content)
            file.close()
            new.replace(path)
        except OSError:
            new.unlink()
            raise


def _read(path: Path) -> Native:
    """Raises ValueError if the file is damaged, or the kernels have another text now."""
    whole = path.read_bytes()
    content = whole[_DIGEST:]
    if len(content) < _LENGTH.size or whole[:_DIGEST] != _digest(content):
        raise ValueError
    start = _LENGTH.size + _LENGTH.unpack_from(content)[0]
    text, enter, release, imports, absolute, returned = json.loads(content[_LENGTH.size : start])
    if text != _text():
        raise ValueError
    return Native(enter, release, imports, absolute, returned, content[start:])


@functools.cache
def _text() -> str:
    """The text of all kernels, any of which may call any other."""
    return _digest(*(path.read_bytes() for path in sorted(_HERE.glob("*.py")))).hex()


@functools.cache
def _surroundings() -> str:
    """On what the code depends besides: versions, processor, settings."""
    settings = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and name != "NUMBA_CACHE_DIR"
    ]
    with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        first = itertools.takewhile(str.strip, file)
        processor = [line for line in first if line.startswith(("vendor", "cpu family", "model", "flags"))]
    versions = [sys.version, version("numba"), version("llvmlite")]
    return "\n".join((*versions, *processor, *settings))


def _digest(*parts: bytes) -> bytes:
    found = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        found.update(part)
    return found.digest()
