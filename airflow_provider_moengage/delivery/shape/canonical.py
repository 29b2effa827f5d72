"""Text of a value that is the same in every process, so that attempts of a task can compare fingerprints."""

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
#: Characters of a part's text above which it is replaced by its hash.
MAX_PART = 500
#: The part of an object's ``repr`` that differs between processes.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
#: The prefix that Airflow adds to the module name of a DAG file; it depends on the file's path.
DAG_FILE_PREFIX = re.compile(r"^unusual_prefix_[0-9a-f]+_")
#: In the ``repr`` of a row: a brace that does not begin a dict with text keys, or an address.
UNSTABLE = re.compile(r"\{(?!\}|'[^'\\]*': )| at 0x")


def canonical(value: object) -> str:
    """
    Return a text of a value: sets sorted, dicts by their keys, objects by their types and attributes.

    Values with the same text count as equal. The text contains no address and does not depend on hash order.
    """
    return _Writer().text(value)


def text_of_row(row: object) -> str:
    """Return such a text of a row; for nearly every row its ``repr``, which costs a tenth of :func:`canonical`."""
    try:
        text = repr(row)
    except (RecursionError, ValueError):
        # A value nested too deeply, or an integer with thousands of digits: the row will be rejected.
        return type(row).__name__
    return text if UNSTABLE.search(text) is None else canonical(row)


class _Writer:
    """Writes one value; an object that occurs in it several times is written once."""

    def __init__(self) -> None:
        # With the object itself: its id is unique only as long as it lives.
        self._known: dict[int, tuple[object, str]] = {}

    def text(self, value: object) -> str:
        """Return the text of a value, or of a part of one."""
        if type(value) in PLAIN:
            return _repr(value)
        known = self._known.get(id(value))
        if known is None:
            # The text of an object inside itself.
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
    """Return the attributes of an object, from its ``__dict__`` and its slots."""
    slots = (
        name
        for one in type(value).__mro__
        for name in _listed(vars(one).get("__slots__", ()))
        if name not in ("__dict__", "__weakref__")
    )
    found = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**found, **getattr(value, "__dict__", {})}


def _short(text: str) -> str:
    # Nested objects that occur many times would otherwise grow the text exponentially.
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
        # An integer with thousands of digits, or an object whose repr fails.
        return f"{type(value).__name__}: {type(error).__name__}"
