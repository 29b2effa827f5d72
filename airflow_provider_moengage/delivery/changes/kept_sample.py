"""Keeps a sample of the users that a run has sent in a folder, over all attempts of a task."""

from __future__ import annotations

import logging

from airflow_provider_moengage.api.errors import MoEngageStorageError
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.changes.sample import Sample
from airflow_provider_moengage.delivery.file_systems import storage_path

log = logging.getLogger(__name__)


class KeptSample:
    """
    A sample of the users of a run, which its folder keeps.

    :param folder: a URL for ``ObjectStoragePath``; the task instance's own.
    :param size: the maximum number of users.
    :param operation: the name of the operation that sends them.
    """

    def __init__(self, folder: str, size: int, operation: str) -> None:
        self._folder = folder
        self._operation = operation
        self._sample = Sample(size)
        self._workspace: Workspace | None = None

    def open(self, workspace: Workspace, *, resumed: bool) -> None:
        """
        Begin, before anything is sent.

        :param resumed: whether an earlier attempt of the run may have sent some of its users.
        :raises MoEngageParameterError: the file system is not installed, or its connection does not exist.
        :raises MoEngageStorageError: the sample of the earlier attempt cannot be read.
        """
        storage_path(self._folder, "snapshot_path")
        self._workspace = workspace
        if resumed:
            self._sample.resume(self._folder, workspace, self._operation)

    def record(self, batch: Batch) -> None:
        """Record the users of an accepted batch; may be called from any thread."""
        self._sample.record(batch)

    def write(self) -> str | None:
        """Write the sample, and return its URL; None: the run did not begin, or it cannot be written, which is logged."""
        if self._workspace is None:
            return None
        try:
            return self._sample.write(self._folder, self._workspace, self._operation)
        except MoEngageStorageError as error:
            log.warning("%s; whether the users arrive cannot be sensed", error)
            return None
