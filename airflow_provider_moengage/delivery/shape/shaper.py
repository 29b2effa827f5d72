"""Turns the rows of a run into what is sent, whatever their values raise."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_moengage.api.errors import MoEngageError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Item
from airflow_provider_moengage.delivery.report import Dropped
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.unreadable import Unreadable


class Shaper:
    """
    Turns rows into what is sent.

    :param shape: turns one row into an item; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`.
    :param learn_types: whether the names and types of attributes are logged at the end.
    """

    def __init__(self, shape: Callable[[object, RowWarnings], Item], *, learn_types: bool) -> None:
        self._shape = shape
        self._warnings = RowWarnings(learn_types=learn_types)

    def shape(self, row: object) -> Item:
        """
        Return a row as it is sent; an exception raised by one of its values rejects this row only.

        :raises MoEngageRecordInvalid: the row must not be sent; the reason says why.
        """
        if isinstance(row, Unreadable):
            raise MoEngageRecordInvalid(row.code, row.reason)
        try:
            return self._shape(row, self._warnings)
        except (MoEngageError, MemoryError):
            raise
        except RecursionError:
            raise MoEngageRecordInvalid(
                "object_levels", "the row has a value that is nested too deeply"
            ) from None
        except Exception as error:
            raise MoEngageRecordInvalid(
                "value_type", f"the row has a value that cannot be read: it raises {type(error).__name__}"
            ) from None

    def take_dropped(self) -> list[Dropped]:
        """Return, and clear, the attributes that the last row is sent without."""
        dropped = self._warnings.dropped
        if dropped:
            self._warnings.dropped = []
        return dropped

    def close(self) -> None:
        """Log what is to be said once a run."""
        self._warnings.close()
