"""The catalogue: the operations of the Data API, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from airflow_provider_moengage.api.endpoint import Quota
from airflow_provider_moengage.operations.bulk_import import BULK_IMPORT
from airflow_provider_moengage.operations.delete_users import DELETE_USERS
from airflow_provider_moengage.operations.get_users import GET_USERS
from airflow_provider_moengage.operations.merge_users import MERGE_USERS
from airflow_provider_moengage.operations.opt_out_devices import OPT_OUT_DEVICES
from airflow_provider_moengage.operations.sync_cohort import SYNC_COHORT
from airflow_provider_moengage.operations.track_devices import TRACK_DEVICES
from airflow_provider_moengage.operations.track_events import TRACK_EVENTS
from airflow_provider_moengage.operations.track_users import TRACK_USERS
from airflow_provider_moengage.operations.unset_attributes import UNSET_ATTRIBUTES

#: Every operation, by its name in capitals, which this module has, too.
OPERATIONS = (
    TRACK_USERS,
    UNSET_ATTRIBUTES,
    TRACK_EVENTS,
    TRACK_DEVICES,
    BULK_IMPORT,
    GET_USERS,
    MERGE_USERS,
    DELETE_USERS,
    OPT_OUT_DEVICES,
    SYNC_COHORT,
)
#: Every quota by its name, which is its key in the connection's extra ``limits``.
QUOTAS: Mapping[str, Quota] = MappingProxyType(
    {quota.name: quota for operation in OPERATIONS for quota in operation.endpoint.quotas}
)

__all__ = [
    "BULK_IMPORT",
    "DELETE_USERS",
    "GET_USERS",
    "MERGE_USERS",
    "OPERATIONS",
    "OPT_OUT_DEVICES",
    "QUOTAS",
    "SYNC_COHORT",
    "TRACK_DEVICES",
    "TRACK_EVENTS",
    "TRACK_USERS",
    "UNSET_ATTRIBUTES",
]
