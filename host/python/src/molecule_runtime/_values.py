"""Converts values between Python and the component, by the types that the component declares.

    record   Record, an attribute a field           variant  Case(tag, payload)
    option   the value, or None                     enum     its name
    list<u8> bytes; other lists list                tuple    tuple

wasmtime's own conversion looks every type up at each call, and goes through bytes one at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

from wasmtime import WasmtimeError
from wasmtime import _ffi as ffi
from wasmtime import component as types

_VALUE = ffi.wasmtime_component_val_t
_SIZE = ctypes.sizeof(_VALUE)
# Where the one byte of a `u8` is.
_BYTE_AT = _VALUE.of.offset

Lower = Callable[[Any, Any], None]
Lift = Callable[[Any], Any]


class Case(NamedTuple):
    """A case of a variant."""

    tag: str
    payload: Any = None


class Record(SimpleNamespace):
    """A record: the fields of the component's interface, with `_` for `-`."""


class Codec(NamedTuple):
    """How values of one type are converted: `lower` writes into a value of the library, `lift` reads one."""

    lower: Lower
    lift: Lift


def codec(declared: types.ValType) -> Codec:
    """The codec of a type. Raises `TypeError` for types that the component does not use."""
    for kind, make in _MAKERS:
        if isinstance(declared, kind):
            return make(declared)
    raise TypeError(f"no value of {declared!r} passes between the component and its host")


def _name(text: str) -> str:
    return text.replace("-", "_")


def _text(vector: Any) -> str:
    return ctypes.string_at(vector.data, vector.size).decode() if vector.size else ""


def _scalar(kind: Any, field: str, convert: Callable[[Any], Any]) -> Callable[[Any], Codec]:
    def lower(value: Any, into: Any) -> None:
        into.kind = kind
        setattr(into.of, field, convert(value))

    return lambda _: Codec(lower, lambda found: convert(getattr(found.of, field)))


def _string(kind: Any, field: str) -> Callable[[Any], Codec]:
    def lower(value: Any, into: Any) -> None:
        vector = ffi.str_to_capi(value)
        into.kind = kind
        setattr(into.of, field, vector)

    return lambda _: Codec(lower, lambda found: _text(getattr(found.of, field)))


def _bytes(_: Any) -> Codec:
    def lower(value: Any, into: Any) -> None:
        count = len(value)
        vector = ffi.wasmtime_component_vallist_t()
        ffi.wasmtime_component_vallist_new_uninit(vector, count)
        if count:
            values = bytearray(_SIZE * count)
            values[_VALUE.kind.offset :: _SIZE] = bytes([ffi.WASMTIME_COMPONENT_U8.value]) * count
            values[_BYTE_AT::_SIZE] = value
            ctypes.memmove(vector.data, (ctypes.c_char * len(values)).from_buffer(values), len(values))
        into.kind = ffi.WASMTIME_COMPONENT_LIST
        into.of.list = vector

    def lift(found: Any) -> bytes:
        vector = found.of.list
        return ctypes.string_at(vector.data, vector.size * _SIZE)[_BYTE_AT::_SIZE] if vector.size else b""

    return Codec(lower, lift)


def _list(declared: types.ListType) -> Codec:
    if isinstance(declared.element, types.U8):
        return _bytes(declared)
    element = codec(declared.element)

    def lower(value: Any, into: Any) -> None:
        vector = ffi.wasmtime_component_vallist_t()
        ffi.wasmtime_component_vallist_new_uninit(vector, len(value))
        ctypes.memset(vector.data, 0, _SIZE * len(value))
        into.kind = ffi.WASMTIME_COMPONENT_LIST
        into.of.list = vector
        for place, each in enumerate(value):
            element.lower(each, vector.data[place])

    def lift(found: Any) -> list[Any]:
        vector = found.of.list
        return [element.lift(vector.data[place]) for place in range(vector.size)]

    return Codec(lower, lift)


def _tuple(declared: types.TupleType) -> Codec:
    elements = [codec(element) for element in declared.elements]

    def lower(value: Any, into: Any) -> None:
        vector = ffi.wasmtime_component_valtuple_t()
        ffi.wasmtime_component_valtuple_new_uninit(vector, len(elements))
        ctypes.memset(vector.data, 0, _SIZE * len(elements))
        into.kind = ffi.WASMTIME_COMPONENT_TUPLE
        into.of.tuple = vector
        for place, (element, each) in enumerate(zip(elements, value, strict=True)):
            element.lower(each, vector.data[place])

    def lift(found: Any) -> tuple[Any, ...]:
        vector = found.of.tuple
        return tuple(element.lift(vector.data[place]) for place, element in enumerate(elements))

    return Codec(lower, lift)


def _record(declared: types.RecordType) -> Codec:
    fields = [(name, _name(name), codec(field)) for name, field in declared.fields]
    entry_bytes = ctypes.sizeof(ffi.wasmtime_component_valrecord_entry_t)

    def lower(value: Any, into: Any) -> None:
        record = ffi.wasmtime_component_valrecord_t()
        ffi.wasmtime_component_valrecord_new_uninit(record, len(fields))
        ctypes.memset(record.data, 0, entry_bytes * len(fields))
        into.kind = ffi.WASMTIME_COMPONENT_RECORD
        into.of.record = record
        for place, (name, attribute, field) in enumerate(fields):
            entry = record.data[place]
            entry.name = ffi.str_to_capi(name)
            field.lower(getattr(value, attribute), entry.val)

    def lift(found: Any) -> Record:
        entries = found.of.record.data
        return Record(
            **{attribute: field.lift(entries[place].val) for place, (_, attribute, field) in enumerate(fields)}
        )

    return Codec(lower, lift)


def _boxed(inner: Codec, value: Any) -> Any:
    """The value at a place of its own, which the library frees."""
    space = _VALUE()
    inner.lower(value, space)
    return ffi.wasmtime_component_val_new(ctypes.byref(space))


def _option(declared: types.OptionType) -> Codec:
    inner = codec(declared.payload)

    def lower(value: Any, into: Any) -> None:
        boxed = None if value is None else _boxed(inner, value)
        into.kind = ffi.WASMTIME_COMPONENT_OPTION
        into.of.option = boxed

    def lift(found: Any) -> Any:
        boxed = found.of.option
        return inner.lift(boxed.contents) if boxed else None

    return Codec(lower, lift)


def _variant(declared: types.VariantType) -> Codec:
    cases = {name: payload and codec(payload) for name, payload in declared.cases}

    def lower(value: Any, into: Any) -> None:
        inner = cases[value.tag]
        boxed = _boxed(inner, value.payload) if inner else None
        into.kind = ffi.WASMTIME_COMPONENT_VARIANT
        into.of.variant.discriminant = ffi.str_to_capi(value.tag)
        into.of.variant.val = boxed

    def lift(found: Any) -> Case:
        tag = _text(found.of.variant.discriminant)
        inner = cases[tag]
        return Case(tag, inner.lift(found.of.variant.val.contents) if inner else None)

    return Codec(lower, lift)


_MAKERS: list[tuple[type, Callable[[Any], Codec]]] = [
    (types.Bool, _scalar(ffi.WASMTIME_COMPONENT_BOOL, "boolean", bool)),
    (types.U8, _scalar(ffi.WASMTIME_COMPONENT_U8, "u8", int)),
    (types.U16, _scalar(ffi.WASMTIME_COMPONENT_U16, "u16", int)),
    (types.U32, _scalar(ffi.WASMTIME_COMPONENT_U32, "u32", int)),
    (types.U64, _scalar(ffi.WASMTIME_COMPONENT_U64, "u64", int)),
    (types.String, _string(ffi.WASMTIME_COMPONENT_STRING, "string")),
    (types.EnumType, _string(ffi.WASMTIME_COMPONENT_ENUM, "enumeration")),
    (types.ListType, _list),
    (types.TupleType, _tuple),
    (types.RecordType, _record),
    (types.OptionType, _option),
    (types.VariantType, _variant),
]


class Function:
    """An exported function, with the codecs of its parameters and its result."""

    def __init__(self, function: types.Func, store: Any) -> None:
        declared = function.type(store)
        self._function = function._func
        self._params = [codec(kind) for _, kind in declared.params]
        self._result = codec(declared.result) if declared.result is not None else None

    def __call__(self, store: Any, *arguments: Any) -> Any:
        """Calls it. Raises `WasmtimeError` if the component traps."""
        params = (_VALUE * len(self._params))()
        try:
            for place, (param, argument) in enumerate(zip(self._params, arguments, strict=True)):
                param.lower(argument, params[place])
            result = _VALUE()
            wanted = (ctypes.byref(result), 1) if self._result else (None, 0)
            error = ffi.wasmtime_component_func_call(
                ctypes.byref(self._function), store._context(), params, len(params), *wanted
            )
            if error:
                raise WasmtimeError._from_ptr(error)
            if self._result is None:
                return None
            try:
                return self._result.lift(result)
            finally:
                ffi.wasmtime_component_val_delete(ctypes.byref(result))
        finally:
            for value in params:
                ffi.wasmtime_component_val_delete(ctypes.byref(value))
