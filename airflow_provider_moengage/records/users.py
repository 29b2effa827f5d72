"""
The base of all records, and the models of users, with the documented rules.

MoEngage accepts every record that can be built unchanged: anything that it would reject, or drop or alter silently,
raises :class:`MoEngageRecordInvalid` here. Source of the shapes: Track User.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from airflow_provider_moengage.api.errors import MoEngageRecordInvalid
from airflow_provider_moengage.records.encoding import serialised
from airflow_provider_moengage.records.names import check_customer_id, unset_fault
from airflow_provider_moengage.records.reasons import code_and_reason
from airflow_provider_moengage.records.values import check_attributes


@dataclass(frozen=True)
class Terms:
    """
    The context in which a record is checked, in addition to the documented rules.

    :param texts: names of attributes that are declared as strings, even if they begin like a date.
    :param identifiers: the active identifiers of an Identity Resolution workspace: with one of them among the
        attributes, a user needs no customer_id.
    :param names: the names in reasons of fields that come from columns of other names, by their paths in the record.
    """

    texts: frozenset[str] = frozenset()
    identifiers: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def called(self, path: str, otherwise: str | None = None) -> str:
        """Return the name of a field in reasons."""
        return self.names.get(path, otherwise or path)


NO_TERMS = Terms()


def terms_of(info: ValidationInfo) -> Terms:
    """Return the terms of the current check."""
    terms: Terms = info.context or NO_TERMS
    return terms


class Record(BaseModel):
    """The base of all records: strict, without unknown fields, and with one kind of error."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    @classmethod
    def check(cls, fields: Mapping[str, Any], terms: Terms = NO_TERMS) -> Self:
        """
        Build a record from its JSON fields.

        :param fields: the record as MoEngage documents it.
        :raises MoEngageRecordInvalid: the first rule that is broken.
        """
        try:
            # The rules raise MoEngageRecordInvalid, which pydantic passes on; its own errors concern the shape only.
            return cls.model_validate(fields, context=terms)
        except ValidationError as error:
            raise MoEngageRecordInvalid(
                *code_and_reason(error.errors(include_url=False)[0], terms.names)
            ) from None


class UnsetRule(Record):
    """
    Attributes to unset; an early-access feature that MoEngage enables per workspace.

    :param type: how ``attr`` is matched with a user's attribute names.
    :param attr: a name, or the part of a name that ``type`` matches.
    """

    type: Literal["equals", "prefix", "suffix", "contains"] = "equals"
    attr: str
    case_sensitive: bool = True

    @model_validator(mode="after")
    def _check_customer_id_is_kept(self) -> Self:
        own, attr = "customer_id", self.attr
        if not self.case_sensitive:
            attr = attr.casefold()
        matches = {
            "equals": own == attr,
            "prefix": own.startswith(attr),
            "suffix": own.endswith(attr),
            "contains": attr in own,
        }
        if matches[self.type]:
            raise MoEngageRecordInvalid(
                "unset_customer_id",
                f"the rule {self.type} {self.attr!r} would unset customer_id, which is not possible",
            )
        return self

    @field_validator("attr")
    @classmethod
    def _check_attr(cls, attr: str) -> str:
        fault = unset_fault(attr)
        if fault:
            raise MoEngageRecordInvalid(*fault)
        return attr


class User(Record):
    """
    One Track User request.

    :param customer_id: two characters or more, and none of the words that MoEngage blocks.
    :param attributes: JSON values by attribute name; other attributes stay unchanged.
    :param update_existing_only: whether to create no user for an unknown id; MoEngage answers 200 nevertheless.
    :param unset_attributes: attributes to unset; takes precedence over ``attributes``.
    """

    type: Literal["customer"] = "customer"
    attributes: dict[str, Any] = {}
    customer_id: str | None
    update_existing_only: bool = False
    unset_attributes: list[UnsetRule] = []

    @field_validator("attributes")
    @classmethod
    def _check_attributes(cls, attributes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        check_attributes(attributes, terms_of(info).texts)
        return attributes

    @field_validator("customer_id", mode="plain")
    @classmethod
    def _check_customer_id(cls, customer_id: Any, info: ValidationInfo) -> str | None:
        return check_user_id(customer_id, info.data.get("attributes", {}), terms_of(info))

    def to_json(self) -> bytes:
        """
        Serialise as MoEngage documents it.

        :raises MoEngageRecordInvalid: a string cannot be encoded in UTF-8.
        """
        unset = [
            {"type": rule.type, "attr": rule.attr, "case_sensitive": rule.case_sensitive}
            for rule in self.unset_attributes
        ]
        return user_json(self.customer_id, self.attributes, self.update_existing_only, unset)


class Identifier(Record):
    """
    One user to get.

    :param identifier_type: ``customer_id``, or ``id`` for the MoEngage id, which another edition of the documentation
        calls ``moengage_id``.
    """

    identifier_type: Literal["customer_id", "id", "moengage_id"] = "customer_id"
    identifier: str

    @field_validator("identifier", mode="plain")
    @classmethod
    def _check_identifier(cls, identifier: Any, info: ValidationInfo) -> str:
        return _check_id_field(identifier, info)

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised({"identifier_type": self.identifier_type, "identifier": self.identifier})


class MergePair(Record):
    """
    Two users to merge, which cannot be undone.

    :param merged_user: the customer id that is removed.
    :param retained_user: the customer id that is kept.
    """

    merged_user: str
    retained_user: str

    @field_validator("merged_user", "retained_user", mode="plain")
    @classmethod
    def _check_id(cls, customer_id: Any, info: ValidationInfo) -> str:
        return _check_id_field(customer_id, info)

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised({"merged_user": self.merged_user, "retained_user": self.retained_user})


class Deletion(Record):
    """
    One user to delete permanently.

    :param identity_type: ``customer_id``, or ``moengage_id``.
    """

    identity_type: Literal["customer_id", "moengage_id"] = "customer_id"
    identity_value: str

    @field_validator("identity_value", mode="plain")
    @classmethod
    def _check_id(cls, customer_id: Any, info: ValidationInfo) -> str:
        return _check_id_field(customer_id, info)

    def to_json(self) -> bytes:
        """Serialise as MoEngage documents it."""
        return serialised({"identity_type": self.identity_type, "identity_value": self.identity_value})


def _check_id_field(customer_id: object, info: ValidationInfo) -> str:
    return check_customer_id(customer_id, terms_of(info).called(str(info.field_name)))


def user_json(
    customer_id: str | None,
    attributes: Mapping[str, Any],
    update_existing_only: bool,
    unset_attributes: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """
    Serialise a user with valid fields, as MoEngage documents it.

    :raises MoEngageRecordInvalid: a string cannot be encoded in UTF-8.
    """
    fields: dict[str, Any] = {
        "type": "customer",
        "customer_id": customer_id,
        "update_existing_only": update_existing_only,
        "attributes": attributes,
    }
    if customer_id is None:
        del fields["customer_id"]
    if unset_attributes:
        fields["unset_attributes"] = unset_attributes
    return serialised(fields)


def check_user_id(customer_id: object, attributes: Mapping[str, Any], terms: Terms) -> str | None:
    """
    Check a user's id; None is allowed if an identifier is among the attributes.

    :raises MoEngageRecordInvalid: MoEngage would not process this user.
    """
    if customer_id is None and identifier_in(attributes, terms.identifiers):
        return None
    return check_customer_id(customer_id, terms.called("customer_id"))


def identifier_in(values: Mapping[str, Any], identifiers: frozenset[str]) -> bool:
    """
    Whether one of an Identity Resolution workspace's identifiers is among the values.

    :raises MoEngageRecordInvalid: identifiers were declared, and there is none.
    """
    if not identifiers:
        return False
    if any(isinstance(values.get(name), str) and values[name] for name in identifiers):
        return True
    raise MoEngageRecordInvalid(
        "identifier_missing",
        f"there is no customer_id, and none of the identifiers {', '.join(sorted(identifiers))} is a string",
    )
