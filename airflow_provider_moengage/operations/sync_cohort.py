"""Cohort sync: converts rows to members of a cohort, who are added or removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from airflow_provider_moengage.api.endpoint import MAX_BODY_BYTES, Endpoint, Quota
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.batch import Envelope, Item
from airflow_provider_moengage.delivery.operation import Operation, RowMapping
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.shape.source_columns import check_has_column, id_of_row
from airflow_provider_moengage.parameters import check_column, check_one_of
from airflow_provider_moengage.records.cohorts import Cohort, Member
from airflow_provider_moengage.records.users import Terms

COHORT_ACTIONS = ("add_members", "remove_members")
COHORT_SYNCS = Quota("cohort_syncs", 300, counts="requests")


@dataclass(frozen=True)
class MemberMapping(RowMapping):
    """
    Converts rows to members of one cohort.

    :param cohort_id: identifies the cohort in MoEngage.
    :param cohort_name: its name in the dashboard, without a dot at the beginning and without any of
        :data:`~airflow_provider_moengage.records.cohorts.NOT_IN_COHORT_NAMES`.
    :param partner: where its members come from.
    :param action: ``add_members`` or ``remove_members``.
    :param cohort_description: a text for people; None: none is sent.
    :param id_column: the column that identifies the user; a row may be a bare id.
    :raises MoEngageParameterError: a parameter is not allowed; the text names it and what is allowed.
    """

    cohort_id: str
    cohort_name: str
    partner: str
    action: Literal["add_members", "remove_members"] = "add_members"
    cohort_description: str | None = None
    id_column: str = "customer_id"
    _envelope: Envelope = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_one_of("action", self.action, COHORT_ACTIONS)
        check_column("id_column", self.id_column)
        try:
            cohort = Cohort.check(
                {
                    "cohort_id": self.cohort_id,
                    "cohort_name": self.cohort_name,
                    "partner": self.partner,
                    "cohort_description": self.cohort_description,
                }
            )
            opening, closing = cohort.around(self.action)
        except MoEngageRecordInvalid as error:
            raise MoEngageParameterError(error.reason) from error
        object.__setattr__(self, "_envelope", Envelope({COHORT_SYNCS: 1}, opening, closing))

    def check_columns(self, columns: Sequence[str]) -> None:
        """Check a source's columns; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        check_has_column(columns, self.id_column, "id_column")

    def fields_from(self, columns: Sequence[str]) -> Mapping[str, str]:
        """Return field → column; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        return {"customer_id": self.id_column}

    def item(self, row: object, warnings: RowWarnings) -> Item:
        """Return the item of a row; see :class:`~airflow_provider_moengage.delivery.operation.RowMapping`."""
        customer_id, called = id_of_row(row, self.id_column, warnings)
        member = Member.check({"uid": customer_id}, Terms(names={"uid": called}))
        return (member.to_json(), member.uid, self._envelope)


SYNC_COHORT = Operation(
    "sync_cohort",
    "members",
    # No number of members is documented: the bytes are the limit.
    Endpoint(
        "Cohort sync",
        "/integrations/cohortsync",
        None,
        max_records=MAX_BODY_BYTES,
        quotas=(COHORT_SYNCS,),
    ),
    datasets=("cohorts",),
    identity=lambda content, user: user,
)
