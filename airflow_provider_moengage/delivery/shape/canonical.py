"""One text for one value, whichever process writes it: what a later try of a task compares."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any
from uuid import UUID

#: Values whose ``repr`` is the same in every process.
PLAIN = (
    type(None), bool, int, float, complex, str, bytes, bytearray, Decimal, Fraction, UUID, PurePath, range, slice,
    date, datetime, time, timedelta, tzinfo, re.Pattern,
)  # fmt: skip
#: Characters of a part, above which its sum stands in its place.
MAX_PART = 500
#: What in the ``repr`` of an object differs from process to process.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
#: What Airflow puts before the name of a DAG file's module: it depends on where the file is.
DAG_FILE_PREFIX = re.compile(r"^unusual_prefix_[0-9a-f]+_")
#: In the ``repr`` of a row: a brace that does not begin a dict whose keys are texts, or an address.
DOUBTFUL = re.compile(r"\{(?!\}|'[^'\\]*': )| at 0x")


def canonical(value: object) -> str:
    """
    Return a text of a value: sets sorted, dicts by their keys, objects by their types and attributes.

    Two values with the same text are taken for the same one; it holds no address and no order of a hash.
    """
    return _Writer().text(value)


def text_of_row(row: object) -> str:
    """Return such a text of a row; for nearly every row that is its ``repr``, which costs a tenth."""
    try:
        text = repr(row)
    except (RecursionError, ValueError):
        # A value nested without end, or an integer of thousands of digits: its row will be refused.
        return type(row).__name__
    return text if DOUBTFUL.search(text) is None else canonical(row)


class _Writer:
    """Writes one value; an object that stands in it more than once is looked at once."""

    def __init__(self) -> None:
        # With the object itself: as long as it lives, no other one has its id.
        self._known: dict[int, tuple[object, str]] = {}

    def text(self, value: object) -> str:
        """Return the text of a value, or of a part of one."""
        if type(value) in PLAIN:
            return _repr(value)
        known = self._known.get(id(value))
        if known is None:
            # What contains itself stands in itself as this.
            self._known[id(value)] = (value, "…")
            known = self._known[id(value)] = (value, _short(self._written(value)))
        return known[1]

    def _written(self, value: object) -> str:
        try:
            return self._container(value) or self._callable(value) or self._object(value)
        except RecursionError:
            return _name(type(value))

    def _container(self, value: object) -> str | None:
        name = _name(type(value))
        if isinstance(value, Enum):
            return f"{name}.{value.name}"
        if isinstance(value, AbstractSet):
            return f"{name}{{{', '.join(sorted(map(self.text, value)))}}}"
        if isinstance(value, Mapping):
            return f"{name}{self._pairs(value)}"
        if isinstance(value, (list, tuple)):
            return f"{name}[{', '.join(map(self.text, value))}]"
        return None

    def _callable(self, value: object) -> str | None:
        if isinstance(value, (type, FunctionType, BuiltinFunctionType)):
            return _name(value)
        if isinstance(value, ModuleType):
            return value.__name__
        if isinstance(value, partial):
            return f"partial({self.text((value.func, value.args, value.keywords))})"
        if isinstance(value, MethodType):
            return f"{self.text(value.__self__)}.{value.__func__.__qualname__}"
        return None

    def _object(self, value: object) -> str:
        name = _name(type(value))
        if isinstance(value, PLAIN):
            return f"{name}({_repr(value)})"
        attributes = _attributes(value)
        if attributes:
            return f"{name}{self._pairs(attributes)}"
        if isinstance(value, Sequence):
            return f"{name}[{', '.join(map(self.text, value))}]"
        return f"{name}({_repr(value)})"

    def _pairs(self, value: Mapping[Any, Any]) -> str:
        pairs = sorted((self.text(key), self.text(one)) for key, one in value.items())
        return f"{{{', '.join(f'{key}: {one}' for key, one in pairs)}}}"


def _attributes(value: object) -> dict[str, Any]:
    """Return what an object has, in its ``__dict__`` and its slots; None of either: nothing is known."""
    slots = (
        name
        for one in type(value).__mro__
        for name in _listed(vars(one).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    )
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**found, **getattr(value, "__dict__", {})}


def _short(text: str) -> str:
    # What stands in an object many times over, which holds such objects itself, is not written out each time.
    return (
        text
        if len(text) <= MAX_PART
        else hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    )


def _listed(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _name(one: Any) -> str:
    module = DAG_FILE_PREFIX.sub("", str(getattr(one, "__module__", "")))
    return f"{module}.{getattr(one, '__qualname__', type(one).__qualname__)}"


def _repr(value: object) -> str:
    if isinstance(value, str):
        return str.__repr__(value)
    try:
        return ADDRESS.sub("", repr(value))
    except Exception as error:
        # An integer of thousands of digits, or an object that cannot be shown.
        return f"{type(value).__name__}: {type(error).__name__}"
