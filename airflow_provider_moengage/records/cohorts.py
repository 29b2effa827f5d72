"""Models of cohorts and their members, with the documented rules. Source: Cohort sync."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationInfo, field_validator

from airflow_provider_moengage.records.encoding import serialised
from airflow_provider_moengage.records.names import check_customer_id
from airflow_provider_moengage.records.reasons import FieldRule
from airflow_provider_moengage.records.users import Record, terms_of

#: Characters that the name of a cohort does not have.
NOT_IN_COHORT_NAMES = '|*?\\:<>=$"'


class Cohort(Record):
    """
    A cohort, as each request describes it.

    :param cohort_id: identifies the cohort in MoEngage.
    :param cohort_name: its name in the dashboard, without a dot at the beginning and without any of
        :data:`NOT_IN_COHORT_NAMES`.
    :param partner: where its members come from.
    :param cohort_description: a text for people; None: leave it as it is.
    """

    cohort_id: str
    cohort_name: str
    partner: str
    cohort_description: str | None = None

    @field_validator("cohort_id", "cohort_name", "partner")
    @classmethod
    def _check_present(cls, value: str) -> str:
        if not value.strip():
            raise FieldRule("cohort_field", "is empty")
        return value

    @field_validator("cohort_name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name.startswith("."):
            raise FieldRule("cohort_name", "begins with a dot, which MoEngage rejects")
        if not set(NOT_IN_COHORT_NAMES).isdisjoint(name):
            raise FieldRule(
                "cohort_name", f"has one of {' '.join(NOT_IN_COHORT_NAMES)} in it, which MoEngage rejects"
            )
        return name

    def around(self, action: str) -> tuple[bytes, bytes]:
        """
        Serialise a request as MoEngage documents it, and return what is before and after its members.

        :param action: ``add_members`` or ``remove_members``.
        :raises MoEngageRecordInvalid: a string cannot be encoded in UTF-8.
        """
        closing = b"]}}"
        parameters: dict[str, Any] = {"cohort_name": self.cohort_name, "cohort_id": self.cohort_id}
        if self.cohort_description is not None:
            parameters["cohort_description"] = self.cohort_description
        # They have to come last: the members are put into their place.
        parameters["members"] = []
        body = serialised({"action": action, "partner": self.partner, "parameters": parameters})
        return body.removesuffix(closing), closing


class Member(Record):
    """
    A user to add to a cohort, or to remove from it; MoEngage ignores unknown users.

    :param uid: the customer id.
    """

    uid: str

    @field_validator("uid", mode="plain")
    @classmethod
    def _check_uid(cls, uid: Any, info: ValidationInfo) -> str:
        return check_customer_id(uid, terms_of(info).called("uid"))

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised({"uid": self.uid})
