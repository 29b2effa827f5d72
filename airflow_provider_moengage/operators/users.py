"""Operators that read and write MoEngage users."""

from airflow_provider_moengage.operators.delete_users import MoEngageDeleteUsersOperator
from airflow_provider_moengage.operators.get_users import MoEngageGetUsersOperator
from airflow_provider_moengage.operators.merge_users import MoEngageMergeUsersOperator
from airflow_provider_moengage.operators.track_users import MoEngageTrackUsersOperator
from airflow_provider_moengage.operators.unset_attributes import MoEngageUnsetAttributesOperator

__all__ = [
    "MoEngageDeleteUsersOperator",
    "MoEngageGetUsersOperator",
    "MoEngageMergeUsersOperator",
    "MoEngageTrackUsersOperator",
    "MoEngageUnsetAttributesOperator",
]
