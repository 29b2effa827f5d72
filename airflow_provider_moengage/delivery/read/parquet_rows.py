"""Reads rows from a Parquet file; a value that Python cannot represent affects only its own row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.shape.convert import OutOfRange

#: Rows read at a time.
PARQUET_ROWS = 2_000
#: What pyarrow raises for a value that Python cannot represent; its own errors derive from these.
CONVERSION_ERRORS = (ValueError, OverflowError, TypeError, LookupError, NotImplementedError)

Fix = Callable[[Any], Any]


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
    # With pre_buffer, what was read would stay in memory until the end of the file.
    return pyarrow.parquet.ParquetFile(stream, pre_buffer=False)


def parquet_rows(file: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    """
    Read the rows of a file.

    :param file: as :func:`open_parquet` returns it.
    :param names: of its columns; those named ``""`` are left out.
    """
    places = [place for place, name in enumerate(names) if name]
    named = [names[place] for place in places]
    # In this thread: while pyarrow waits for one of its own, Python cannot run the handler of a signal.
    for batch in file.iter_batches(batch_size=PARQUET_ROWS, use_threads=False):
        columns = [values_of(batch.column(place)) for place in places]
        for values in zip(*columns, strict=True):
            yield dict(zip(named, values, strict=True))


def values_of(column: Any) -> list[Any]:
    """
    Return the values of an Arrow array as Python values; one that Python cannot represent is an :class:`OutOfRange`.

    MAPs become dicts. Nanoseconds are truncated: a datetime cannot hold them, and MoEngage accepts whole seconds.
    """
    kind = column.type
    try:
        plain = _without_nanoseconds(kind)
        values = (column if plain.equals(kind) else column.cast(plain, safe=False)).to_pylist()
    except CONVERSION_ERRORS:
        return [_value(scalar) for scalar in column]
    fix = _maps_as_dicts(kind)
    return values if fix is None else [fix(value) for value in values]


def _value(scalar: Any) -> Any:
    """Return one value, converted element by element to find the ones that Python cannot represent."""
    from pyarrow import types

    if not scalar.is_valid:
        return None
    kind = scalar.type
    if types.is_struct(kind):
        fields = [(kind.field(place).name, _value(scalar[place])) for place in range(kind.num_fields)]
        # With a duplicated field name, a dict would lose one of the values.
        return dict(fields) if len({name for name, _ in fields}) == len(fields) else fields
    if types.is_map(kind):
        return _as_dict([(_value(pair["key"]), _value(pair["value"])) for pair in _elements(scalar)])
    if _is_list(kind):
        return [_value(element) for element in _elements(scalar)]
    for target in _castable_types(kind):
        try:
            return scalar.cast(target, safe=False).as_py()
        except CONVERSION_ERRORS:
            continue
    if types.is_string(kind) or types.is_large_string(kind):
        # Not valid UTF-8; as bytes the value is rejected.
        return scalar.as_buffer().to_pybytes()
    return OutOfRange(str(kind), _text(scalar))


def _castable_types(kind: Any) -> Iterator[Any]:
    """Return the types to cast a value of a type to, until Python can represent it."""
    import pyarrow

    yield _without_nanoseconds(kind)
    if pyarrow.types.is_timestamp(kind) and kind.tz:
        # The zone is unknown here, or the local time is outside the years 1 to 9999.
        yield pyarrow.timestamp("us", "UTC")


def _elements(scalar: Any) -> Any:
    return () if scalar.values is None else scalar.values


def _text(scalar: Any) -> str:
    import pyarrow

    try:
        return str(scalar.cast(pyarrow.string()).as_py())
    except CONVERSION_ERRORS:
        return str(getattr(scalar, "value", None))


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _without_nanoseconds(kind: Any) -> Any:
    """Return a type with microseconds in place of nanoseconds, at any depth."""
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


def _maps_as_dicts(kind: Any) -> Fix | None:
    """Return a function that turns the MAPs in a value, which are lists of pairs, into dicts; None: there are no MAPs."""
    from pyarrow import types

    if types.is_map(kind):
        of_key, of_item = (_maps_as_dicts(inner) or _unchanged for inner in (kind.key_type, kind.item_type))
        return lambda pairs: (
            None if pairs is None else _as_dict([(of_key(key), of_item(item)) for key, item in pairs])
        )
    if _is_list(kind):
        of_element = _maps_as_dicts(kind.value_type)
        if of_element is not None:
            return lambda values: None if values is None else [of_element(value) for value in values]
    if types.is_struct(kind):
        fields = [kind.field(place) for place in range(kind.num_fields)]
        fixes = {field.name: fix for field in fields if (fix := _maps_as_dicts(field.type)) is not None}
        if fixes:
            return lambda value: (
                None
                if value is None
                else {name: fixes.get(name, _unchanged)(inner) for name, inner in value.items()}
            )
    return None


def _unchanged(value: Any) -> Any:
    return value


def _as_dict(pairs: list[tuple[Any, Any]]) -> Any:
    """Return a MAP as a dict; if its keys are unhashable or duplicated, return the pairs, which are rejected later."""
    try:
        found = dict(pairs)
    except TypeError:
        return pairs
    return found if len(found) == len(pairs) else pairs
