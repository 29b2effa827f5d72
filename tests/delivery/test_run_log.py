"""What the log says when a run begins."""

from __future__ import annotations

import pytest

from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.read.sources import Guarded, Named, Rows, described
from airflow_provider_moengage.delivery.run_log import without_credentials
from airflow_provider_moengage.delivery.shape.column_names import ColumnNames
from airflow_provider_moengage.operations import (
    BULK_IMPORT,
    OPERATIONS,
    QUOTAS,
    TRACK_EVENTS,
    TRACK_USERS,
    UNSET_ATTRIBUTES,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("path s3://lake_conn@lake/customers/*.csv.gz", "path s3://lake_conn@lake/customers/*.csv.gz"),
        ("path s3://KEY:SECRET@lake/a.csv", "path s3://KEY:***@lake/a.csv"),
        ("path ftp://user:PASS:WORD@host/a.csv", "path ftp://user:***@host/a.csv"),
        ("path https://host/a.csv?signature=SECRET", "path https://host/a.csv?***"),
        ("path file:///data/part-?.csv", "path file:///data/part-?.csv"),
        ("sql of connection 'warehouse'", "sql of connection 'warehouse'"),
    ],
)
def test_no_password_of_a_url_is_shown(text: str, shown: str):
    assert without_credentials(text) == shown


def test_a_source_around_another_is_called_as_that_one_is():
    rows = Rows([{"customer_id": "a1"}], "users")
    assert described(Guarded(rows, 10)) == described(rows) == "1 row of users"


def test_a_source_of_ones_own_is_called_by_its_type():
    class Lines:
        def __len__(self) -> int:
            return 0

    assert described(Named(Lines(), ColumnNames())) == "rows of Lines"  # type: ignore[arg-type]


def test_where_requests_go_is_named_without_workspace_and_key():
    assert Workspace("W1", "SECRET", "03").location == "in data centre 03 (India)"
    assert Workspace("W1", "SECRET", host="https://proxy:8443").location == "at proxy:8443"


def test_bulk_import_uses_the_quota_of_what_is_in_it():
    assert TRACK_USERS.endpoint.quotas == (QUOTAS["users"],)
    assert TRACK_USERS.in_bulk().endpoint.quotas == UNSET_ATTRIBUTES.in_bulk().endpoint.quotas
    assert TRACK_USERS.in_bulk().endpoint.quotas == (QUOTAS["bulk_users"],)
    assert TRACK_EVENTS.in_bulk().endpoint.quotas == (QUOTAS["bulk_events"],)
    assert [quota.name for quota in BULK_IMPORT.endpoint.quotas] == [
        "bulk_users",
        "bulk_events",
        "bulk_devices",
    ]


def test_every_quota_name_belongs_to_one_quota():
    quotas = {
        quota for operation in OPERATIONS for endpoint in operation.endpoints for quota in endpoint.quotas
    }
    assert sorted(quota.name for quota in quotas) == sorted(QUOTAS)
