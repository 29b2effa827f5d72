from __future__ import annotations

import errno
import os

import pytest

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.delivery.storage_errors import naming_folder


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "; make room there"),
        (errno.EDQUOT, "; make room there"),
        (
            errno.EACCES,
            "; let the credentials read, write, list and delete there, or renew them if they have expired",
        ),
        (errno.EIO, "; a retry may succeed"),
    ],
)
def test_an_error_names_the_folder_and_what_to_do(number: int, remedy: str):
    error = OSError(number, os.strerror(number))
    with (
        pytest.raises(MoEngageStorageError) as raised,
        naming_folder("rejected_path", "s3://lake/x", "is lost"),
    ):
        raise error
    expected = f"rejected_path 's3://lake/x' is lost ({type(error).__name__}: {os.strerror(number)}){remedy}"
    assert str(raised.value) == expected
    assert raised.value.__cause__ is error
