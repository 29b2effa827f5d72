"""The parameters of operators that send only what has changed."""

from __future__ import annotations

from typing import Any, Literal

from airflow_provider_moengage._compat import Context, conf
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageRecordInvalid
from airflow_provider_moengage.delivery.changes.changed_only import (
    ChangedOnly,
    Removal,
    SampleRequest,
    every_row_is_sent,
)
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.shape.not_rows import of_empty_text
from airflow_provider_moengage.delivery.shape.row_warnings import RowWarnings
from airflow_provider_moengage.delivery.storage import snapshot_folder, task_folder
from airflow_provider_moengage.operations.delete_users import DELETE_USERS, DeletionMapping
from airflow_provider_moengage.operations.track_users import TRACK_USERS, UserMapping
from airflow_provider_moengage.operations.unset_attributes import UNSET_ATTRIBUTES, UnsetMapping
from airflow_provider_moengage.parameters import (
    check_one_of,
    check_switch,
    check_whole_number,
    switch_of_text,
)

#: What happens to users who have left the source.
ON_REMOVED = ("ignore", "unset", "update", "delete")
OnRemoved = Literal["ignore", "unset", "update", "delete"]
DEFAULT_MAX_REMOVED = 0.1


def check_changes(operator: Any) -> None:
    """
    Check the parameters of an operator that may send only what has changed.

    :raises MoEngageParameterError: one is not allowed, or the operation has to send every row.
    """
    check_switch("changed_only", operator.changed_only)
    if operator.changed_only and operator.operation.identity is None:
        raise MoEngageParameterError(every_row_is_sent(operator.operation))
    if not isinstance(operator.full_resync, str):
        check_switch("full_resync", operator.full_resync)
    if operator.resync_every is not None:
        check_whole_number("resync_every", operator.resync_every, 1)
    for name in ("full_resync", "resync_every"):
        if getattr(operator, name) and not operator.changed_only:
            raise MoEngageParameterError(
                f"{name} is given without changed_only=True; every row is sent anyway"
            )


def changed_only(
    operator: Any, context: Context, removal: Removal | None, target: str = ""
) -> ChangedOnly | None:
    """
    Return what a run of an operator is told; None: it sends every row.

    :param target: see :class:`~airflow_provider_moengage.delivery.changes.changed_only.ChangedOnly`.
    :raises MoEngageParameterError: there is no folder for the snapshot, or ``full_resync`` rendered to another text.
    """
    if not operator.changed_only:
        return None
    url = snapshot_url(operator.snapshot_path)
    if url is None:
        raise MoEngageParameterError(
            "changed_only is True, but there is no folder for the snapshot; set snapshot_path=, or [moengage] snapshot_path "
            "in Airflow's configuration"
        )
    ti: Any = context.get("ti")
    return ChangedOnly(
        url if ti is None else snapshot_folder(url, ti),
        task="" if ti is None else f"{ti.dag_id}/{ti.run_id}/{ti.task_id}/{ti.map_index}",
        target=target,
        full_resync=switch_of_text("full_resync", operator.full_resync),
        resync_every=operator.resync_every,
        removal=removal,
        max_removed=getattr(operator, "max_removed", DEFAULT_MAX_REMOVED),
    )


def sample_of(operator: Any, context: Context) -> SampleRequest | None:
    """
    Return what sample a run of an operator keeps; None: none.

    :raises MoEngageParameterError: there is no folder for it.
    """
    size = getattr(operator, "sample", 0)
    if not size:
        return None
    url = snapshot_url(operator.snapshot_path)
    if url is None:
        raise MoEngageParameterError(
            "sample is given, but there is no folder for it; set snapshot_path=, or [moengage] snapshot_path in Airflow's "
            "configuration"
        )
    ti: Any = context.get("ti")
    return SampleRequest(url if ti is None else task_folder(url, ti), size)


def snapshot_url(snapshot_path: str | None) -> str | None:
    """
    Return the root of the folders of snapshots; None: none is given.

    :raises MoEngageParameterError: its file system is not installed, or its connection does not exist.
    """
    if snapshot_path is not None:
        if nothing := of_empty_text("snapshot_path", snapshot_path):
            raise MoEngageParameterError(nothing)
        parameter, url = "snapshot_path", str(snapshot_path)
    else:
        parameter = "[moengage] snapshot_path of Airflow's configuration,"
        url = conf.get("moengage", "snapshot_path", fallback=None) or ""
    if not url:
        return None
    storage_path(url, parameter)
    return url


def removal_of_users(
    on_removed: OnRemoved, removed_attributes: object, mapping: UserMapping, *, bulk: bool
) -> Removal | None:
    """
    Return what happens to users who have left the source; None: nothing.

    :param removed_attributes: the names to unset, or the values to set.
    :param mapping: of the users.
    :param bulk: whether they go to Bulk Import.
    :raises MoEngageParameterError: a parameter is not allowed.
    """
    check_one_of("on_removed", on_removed, ON_REMOVED)
    needs = {"unset": "a list of names", "update": "a dict of attribute and value"}
    if (removed_attributes is not None) != (on_removed in needs):
        raise MoEngageParameterError(
            f"on_removed is {on_removed!r}, which needs removed_attributes, {needs[on_removed]}"
            if on_removed in needs
            else f"removed_attributes is given, but on_removed is {on_removed!r}; it belongs to 'unset' and 'update'"
        )
    if on_removed == "ignore":
        return None
    if mapping.identifiers:
        raise MoEngageParameterError(
            f"on_removed is {on_removed!r}, but identifiers is given; who has left is known by customer_id alone"
        )
    if on_removed == "delete":
        return Removal(DELETE_USERS, DeletionMapping(), lambda user: user)
    if on_removed == "unset":
        if not isinstance(removed_attributes, (list, tuple)):
            raise MoEngageParameterError(
                f"removed_attributes is {removed_attributes!r}; use {needs[on_removed]}"
            )
        unset = UnsetMapping(unset=removed_attributes, update_existing_only=True)
        return Removal(UNSET_ATTRIBUTES.in_bulk() if bulk else UNSET_ATTRIBUTES, unset, lambda user: user)
    if not isinstance(removed_attributes, dict) or not removed_attributes:
        raise MoEngageParameterError(f"removed_attributes is {removed_attributes!r}; use {needs[on_removed]}")
    values = removed_attributes
    update = UserMapping(timezone=mapping.timezone, update_existing_only=True)
    try:
        update.item({"customer_id": "user", "attributes": values}, RowWarnings())
    except MoEngageRecordInvalid as error:
        raise MoEngageParameterError(f"removed_attributes: {error}") from None
    return Removal(
        TRACK_USERS.in_bulk() if bulk else TRACK_USERS,
        update,
        lambda user: {"customer_id": user, "attributes": values},
    )
