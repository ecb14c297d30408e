"""Machine code that lies anywhere in memory: what Numba makes of a kernel, linked to one piece.

Only loaded where a kernel has to be compiled. Numba's own code holds addresses of the process that made it.
So LLVM emits the kernel with relative addresses, and with two functions of ours: `enter` reads the arguments
from slots of eight bytes, `release` lets go of an array that the kernel made. The object file is linked here.
What code leaves to others, such as `malloc` and `exp`, it calls through slots that whoever loads it fills.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core.runtime import nrtdynmod
from numba.np.numpy_support import as_dtype

from cjm_analytics.kernels.native import Native

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UnfitError", "compiled"]

KEPT = ("enter", "release")
"""The functions that are called from outside."""

_WORD = ir.IntType(64)
_POINTER = ir.IntType(8).as_pointer()
_STATUS = ir.IntType(32)

_SYSTEM = frozenset(
    ("malloc", "free", "memset", "memcpy", "memmove", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
     "pow", "sqrt", "floor", "ceil", "trunc", "rint", "round", "fmod", "ldexp", "frexp")
)  # fmt: skip
"""What code may leave to the system."""

_NUMBERS = {"bool": "?", "int64": "q", "uint64": "Q", "float64": "d"}

_HEADER = 64
"""Bytes before an array that a kernel makes; its users are counted there."""

_ALLOCATED = [_WORD, _POINTER, _POINTER, _POINTER, _WORD]
"""What stands there: number of users, two empty fields, where the array begins, its bytes."""


class UnfitError(Exception):
    """Code cannot be moved, or holds something that we do not know: Numba has to run it."""


def compiled(dispatcher: Any, arguments: tuple[Any, ...]) -> Native:
    """The machine code of a kernel for such arguments."""
    kinds = tuple(map(dispatcher.typeof_pyval, arguments))
    dispatcher.compile(kinds)
    found = dispatcher.overloads[kinds]
    if list(nrtdynmod._meminfo_struct_type.elements) != _ALLOCATED:  # noqa: SLF001 - as its code reads it
        raise UnfitError
    module = llvm.parse_assembly(found.library.get_llvm_str())
    module.link_in(llvm.parse_assembly(str(_entrance(found))))
    for function in module.functions:
        if not function.is_declaration and function.name not in KEPT:
            function.linkage = "internal"
    triple, processor, features = found.library.codegen.magic_tuple()
    machine = llvm.Target.from_triple(triple or llvm.get_process_triple()).create_target_machine(
        cpu=processor, features=features, opt=3, reloc="pic", codemodel="small"
    )
    return _linked(machine.emit_object(module), _described(found.signature.return_type))


def _entrance(found: Any) -> ir.Module:
    """`enter` and `release`, and the functions of Numba's run time that make and free an array."""
    module = ir.Module()
    call = found.target_context.call_conv.get_function_type(found.fndesc.restype, found.fndesc.argtypes)
    kernel = ir.Function(module, call, found.fndesc.llvm_func_name)
    result, trouble, *wanted = call.args
    enter = ir.Function(module, ir.FunctionType(_STATUS, [_POINTER, _WORD.as_pointer()]), "enter")
    build = ir.IRBuilder(enter.append_basic_block())
    given = [build.bitcast(enter.args[0], result), build.bitcast(build.alloca(_POINTER), trouble)]
    for place, kind in enumerate(wanted):
        slot = build.gep(enter.args[1], [_WORD(place)])
        given.append(build.load(build.bitcast(slot, kind.as_pointer())))
    build.ret(build.call(kernel, given))

    free = ir.Function(module, ir.FunctionType(ir.VoidType(), [_POINTER]), "free")
    freed = ir.Function(module, free.function_type, "NRT_MemInfo_call_dtor")
    build = ir.IRBuilder(freed.append_basic_block())
    build.call(free, freed.args)
    build.ret_void()
    release = ir.Function(module, free.function_type, "release")
    build = ir.IRBuilder(release.append_basic_block())
    users = build.bitcast(release.args[0], _WORD.as_pointer())
    before = build.atomic_rmw("sub", users, _WORD(1), "acq_rel")
    with build.if_then(build.icmp_unsigned("==", before, _WORD(1))):
        build.call(free, release.args)
    build.ret_void()

    malloc = ir.Function(module, ir.FunctionType(_POINTER, [_WORD]), "malloc")
    make = ir.Function(module, ir.FunctionType(_POINTER, [_WORD, _STATUS]), "NRT_MemInfo_alloc_aligned")
    build = ir.IRBuilder(make.append_basic_block())
    size, step = make.args[0], build.zext(make.args[1], _WORD)
    memory = build.call(malloc, [build.add(size, build.add(step, _WORD(_HEADER)))])
    none = build.icmp_unsigned("==", memory, _POINTER(None))
    with build.if_then(none):
        build.ret(memory)
    end = build.add(build.ptrtoint(memory, _WORD), build.add(step, _WORD(_HEADER - 1)))
    start = build.inttoptr(build.and_(end, build.neg(step)), _POINTER)
    header = build.bitcast(memory, ir.LiteralStructType(_ALLOCATED).as_pointer())
    nothing = _POINTER(None)
    for place, value in enumerate((_WORD(1), nothing, nothing, start, size)):
        build.store(value, build.gep(header, [_STATUS(0), _STATUS(place)]))
    build.ret(memory)
    return module


# What a kernel returns


def _described(returned: Any, *, within: bool = False) -> list[Any]:
    """A type in plain words: its form, then what the form needs."""
    if isinstance(returned, types.Optional) and not within:
        returned = returned.type
    number = _NUMBERS.get(str(returned))
    if number:
        return ["number", number]
    if isinstance(returned, types.NoneType) and not within:
        return ["none"]
    if isinstance(returned, types.Array):
        return ["array", as_dtype(returned.dtype).str, returned.ndim]
    if isinstance(returned, types.BaseTuple) and not within:
        kind: Any = getattr(returned, "instance_class", None)
        named = [kind.__module__, kind.__qualname__] if kind else []
        return ["tuple", named, [_described(one, within=True) for one in cast("Any", returned)]]
    raise UnfitError


# Linking: the object file of one kernel becomes one piece


class _Section(NamedTuple):
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    align: int


class _Symbol(NamedTuple):
    name: str
    section: int
    value: int


_SYMBOLS, _RELOCATIONS, _ZEROS, _UNWINDING = 2, 4, 8, 0x70000001
_IN_MEMORY = 2
_ABSOLUTE, _RELATIVE, _CALL = 1, 2, 4
_JUMP = b"\xff\x25\x02\x00\x00\x00\x90\x90" + bytes(8)
"""Jump to the address that stands in the last eight bytes."""


def _linked(file: bytes, returned: list[Any]) -> Native:
    """The code and constants of an ELF object file, one after the other, with all distances filled in."""
    sections = list(_sections(file))
    symbols = list(_symbols(file, sections))
    code = bytearray()
    begins: dict[int, int] = {}
    for place, one in enumerate(sections):
        if one.flags & _IN_MEMORY and one.kind != _UNWINDING:
            code += bytes(-len(code) % max(one.align, 16))
            begins[place] = len(code)
            code += bytes(one.size) if one.kind == _ZEROS else file[one.offset : one.offset + one.size]
    code += bytes(-len(code) % 16)
    imports: dict[str, int] = {}
    absolute: list[tuple[int, int]] = []
    for relocations in sections:
        if relocations.kind != _RELOCATIONS or relocations.info not in begins:
            continue
        entries = file[relocations.offset : relocations.offset + relocations.size]
        for offset, about, added in struct.iter_unpack("<QQq", entries):
            kind, symbol = about & 0xFFFFFFFF, symbols[about >> 32]
            place = begins[relocations.info] + offset
            if symbol.section in begins:
                target = begins[symbol.section] + symbol.value
            elif symbol.section == 0 and symbol.name in _SYSTEM and kind == _CALL:
                if symbol.name not in imports:
                    imports[symbol.name] = len(code) + 8
                    code += _JUMP
                target = imports[symbol.name] - 8
            else:
                raise UnfitError
            if kind in (_RELATIVE, _CALL):
                struct.pack_into("<i", code, place, target + added - place)
            elif kind == _ABSOLUTE:
                absolute.append((place, target + added))
            else:
                raise UnfitError
    enter, release = (
        next(begins[one.section] + one.value for one in symbols if one.name == name) for name in KEPT
    )
    return Native(enter, release, imports, absolute, returned, bytes(code))


def _sections(file: bytes) -> Iterator[_Section]:
    start, size, number = (
        struct.unpack_from(form, file, at)[0] for form, at in (("<Q", 40), ("<H", 58), ("<H", 60))
    )
    for place in range(number):
        _, kind, flags, _, offset, length, link, info, align, _ = struct.unpack_from(
            "<IIQQQQIIQQ", file, start + place * size
        )
        yield _Section(kind, flags, offset, length, link, info, align)


def _symbols(file: bytes, sections: list[_Section]) -> Iterator[_Symbol]:
    for one in sections:
        if one.kind == _SYMBOLS:
            texts = sections[one.link].offset
            for name, _, _, section, value, _ in struct.iter_unpack(
                "<IBBHQQ", file[one.offset : one.offset + one.size]
            ):
                end = file.index(0, texts + name)
                yield _Symbol(file[texts + name : end].decode(), section, value)
