"""Rows of a Parquet file, in which one value that Python cannot hold spoils its own row and not the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.shape.convert import OutOfRange

PARQUET_ROWS = 2_000
#: What pyarrow raises for a value that Python cannot hold; its own errors are among these.
NOT_HELD = (ValueError, OverflowError, TypeError, LookupError, NotImplementedError)

Mend = Callable[[Any], Any]


def open_parquet(stream: BinaryIO) -> Any:
    """
    Open a Parquet file.

    :raises MoEngageParameterError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise MoEngageParameterError(
            "path has a Parquet file, which needs pyarrow: pip install airflow-provider-moengage[parquet]"
        ) from None
    return pyarrow.parquet.ParquetFile(stream)


def parquet_rows(file: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """
    Read rows.

    :param file: as :func:`open_parquet` opens it.
    :param names: of its columns; those that are ``""`` are left out.
    """
    places = [place for place, name in enumerate(names) if name]
    named = [names[place] for place in places]
    for batch in file.iter_batches(batch_size=PARQUET_ROWS):
        columns = [values_of(batch.column(place)) for place in places]
        for values in zip(*columns, strict=True):
            yield dict(zip(named, values, strict=True))


def values_of(column: Any) -> list[Any]:
    """
    Return the values of an Arrow array as Python's own; one that Python cannot hold is an :class:`OutOfRange`.

    MAPs are dicts, and nanoseconds are cut off: they do not fit into a datetime, and MoEngage takes whole seconds.
    """
    kind = column.type
    try:
        plain = _without_nanoseconds(kind)
        values = (column if plain.equals(kind) else column.cast(plain, safe=False)).to_pylist()
    except NOT_HELD:
        return [_value(scalar) for scalar in column]
    mend = _maps_as_dicts(kind)
    return values if mend is None else [mend(value) for value in values]


def _value(scalar: Any) -> Any:
    """Return one value, as far into it as it takes to find what Python cannot hold."""
    from pyarrow import types

    if not scalar.is_valid:
        return None
    kind = scalar.type
    if types.is_struct(kind):
        fields = [(kind.field(place).name, _value(scalar[place])) for place in range(kind.num_fields)]
        # A name that two fields have: as an object one of them would be lost.
        return dict(fields) if len({name for name, _ in fields}) == len(fields) else fields
    if types.is_map(kind):
        return _as_dict([(_value(pair["key"]), _value(pair["value"])) for pair in _elements(scalar)])
    if _is_list(kind):
        return [_value(element) for element in _elements(scalar)]
    for form in _forms(kind):
        try:
            return scalar.cast(form, safe=False).as_py()
        except NOT_HELD:
            continue
    if types.is_string(kind) or types.is_large_string(kind):
        # Its bytes are no UTF-8; as bytes they are refused.
        return scalar.as_buffer().to_pybytes()
    return OutOfRange(str(kind), _text(scalar))


def _forms(kind: Any) -> Iterator[Any]:
    """Return the types as which Python may hold a value of a type."""
    import pyarrow

    yield _without_nanoseconds(kind)
    if pyarrow.types.is_timestamp(kind) and kind.tz:
        # A zone that nobody here knows, or one in which the last or the first year is over.
        yield pyarrow.timestamp("us", "UTC")


def _elements(scalar: Any) -> Any:
    return () if scalar.values is None else scalar.values


def _text(scalar: Any) -> str:
    import pyarrow

    try:
        return str(scalar.cast(pyarrow.string()).as_py())
    except NOT_HELD:
        return str(getattr(scalar, "value", None))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _without_nanoseconds(kind: Any) -> Any:
    """Return a type with microseconds in place of nanoseconds, however deep they are inside."""
    import pyarrow
    from pyarrow import types

    if types.is_timestamp(kind):
        return pyarrow.timestamp("us", kind.tz) if kind.unit == "ns" else kind
    if types.is_duration(kind):
        return pyarrow.duration("us") if kind.unit == "ns" else kind
    if types.is_time64(kind):
        return pyarrow.time64("us")
    if types.is_dictionary(kind):
        values = _without_nanoseconds(kind.value_type)
        return kind if values.equals(kind.value_type) else values
    if types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        return pyarrow.struct([field.with_type(_without_nanoseconds(field.type)) for field in fields])
    if types.is_map(kind):
        key, item = _without_nanoseconds(kind.key_type), _without_nanoseconds(kind.item_type)
        same = key.equals(kind.key_type) and item.equals(kind.item_type)
        return kind if same else pyarrow.map_(key, item)
    if _is_list(kind):
        field = kind.value_field.with_type(_without_nanoseconds(kind.value_type))
        if types.is_fixed_size_list(kind):
            return pyarrow.list_(field, kind.list_size)
        return pyarrow.large_list(field) if types.is_large_list(kind) else pyarrow.list_(field)
    return kind


def _maps_as_dicts(kind: Any) -> Mend | None:
    """Return what makes dicts of the MAPs in a value of a type, which come as lists of pairs; None: it has none."""
    from pyarrow import types

    if types.is_map(kind):
        of_key, of_item = (_maps_as_dicts(inner) or _as_it_is for inner in (kind.key_type, kind.item_type))
        return lambda pairs: (
            None if pairs is None else _as_dict([(of_key(key), of_item(item)) for key, item in pairs])
        )
    if _is_list(kind):
        of_element = _maps_as_dicts(kind.value_type)
        if of_element is not None:
            return lambda values: None if values is None else [of_element(value) for value in values]
    if types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        mends = {field.name: mend for field in fields if (mend := _maps_as_dicts(field.type)) is not None}
        if mends:
            return lambda value: (
                None
                if value is None
                else {name: mends.get(name, _as_it_is)(inner) for name, inner in value.items()}
            )
    return None


def _as_it_is(value: Any) -> Any:
    return value


def _as_dict(pairs: list[tuple[Any, Any]]) -> Any:
    """Return a MAP as a dict; one whose keys cannot be keys, or are there twice, stays what no rule lets pass."""
    try:
        found = dict(pairs)
    except TypeError:
        return pairs
    return found if len(found) == len(pairs) else pairs
