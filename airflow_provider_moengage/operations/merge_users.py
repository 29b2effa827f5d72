"""Merge Users: converts rows to pairs of a merged and a retained user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from airflow_provider_moengage.api.endpoint import Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.shape.column_names import check_spelling, spelling_hint
from airflow_provider_moengage.delivery.shape.ids import id_text
from airflow_provider_moengage.delivery.shape.row_forms import as_row
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.records.users import MergePair

USERS_MERGED = Quota("merge_users", 1_000)
MERGE = Envelope({USERS_MERGED: 1}, b'{"merge_data":[', b"]}")


@dataclass(frozen=True)
class PairMapping(RowMapping):
    """
    Converts rows to pairs of users to merge; rejects repeated merges of one user and chains of merges.

    It holds the ids of a run in memory, about 100 bytes each: :meth:`for_run` returns one that holds none yet.
    """

    remembers: ClassVar[bool] = True

    _merged: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    _retained: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def for_run(self) -> PairMapping:
        """Return a mapping that holds no id."""
        return PairMapping()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        for column in ("merged_user", "retained_user"):
            if column not in columns:
                raise MoEngageParameterError(
                    f"the source has no column {column!r}; it has {', '.join(columns)}"
                    + spelling_hint(column, columns)
                )

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return {"merged_user": "merged_user", "retained_user": "retained_user"}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        row = as_row(row)
        for name in ("merged_user", "retained_user"):
            if row.get(name) is None:
                check_spelling(name, row)
            if name not in row:
                raise MoEngageRecordInvalid(
                    "customer_id_missing",
                    f"the row has no column {name!r}; a pair is 'merged_user', which goes, and 'retained_user', which stays",
                )
        ids = {name: id_text(row.get(name), warnings, name) for name in ("merged_user", "retained_user")}
        pair = MergePair.check(ids)
        merged, retained = pair.merged_user, pair.retained_user
        if merged == retained:
            raise MoEngageRecordInvalid("merge_same", "merged_user and retained_user are the same")
        if merged in self._merged:
            raise MoEngageRecordInvalid("merge_twice", "merged_user is merged by an earlier row already")
        if retained in self._merged:
            raise MoEngageRecordInvalid(
                "merge_chain", "retained_user is merged away by an earlier row; merge into the one that stays"
            )
        if merged in self._retained:
            raise MoEngageRecordInvalid(
                "merge_chain", "merged_user is what an earlier row merges into; merge into the one that stays"
            )
        content = pair.to_json()
        self._merged.add(merged)
        self._retained.add(retained)
        return (content, "", MERGE)


MERGE_USERS = Operation(
    "merge_users",
    "pairs",
    Endpoint(
        "Merge Users",
        "/customer/merge",
        "query",
        max_records=50,
        success=(("status", "success"), ("operation", "created")),
        quotas=(USERS_MERGED,),
    ),
    mapping=PairMapping,
    always_sent="a merge leaves one user of two, and nothing to compare it with",
)
