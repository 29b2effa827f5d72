"""A uniform sample of the users that were sent, as ids and fingerprints of their values, to compare with later."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from hashlib import blake2b
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json

from airflow_provider_moengage.api.errors import (
    MoEngageParameterError,
    MoEngageSampleDamaged,
    MoEngageStorageError,
)
from airflow_provider_moengage.api.workspace import Workspace
from airflow_provider_moengage.delivery.batch import Batch
from airflow_provider_moengage.delivery.file_systems import storage_path
from airflow_provider_moengage.delivery.storage import (
    folder_path,
    make_folder,
    read_whole,
    write_whole,
)
from airflow_provider_moengage.delivery.storage_errors import described, remedy
from airflow_provider_moengage.records.read_back import NOT_READ_BACK, normal_form
from airflow_provider_moengage.records.values import ARRAY_OPERATORS

log = logging.getLogger(__name__)

#: The underscore keeps it out of the rows of a task that reads its folder.
SAMPLE_FILE = "_moengage_sample.json"
#: Increased when the format or the normal form of values changes: other formats are not read.
SAMPLE_FORMAT: Literal[1] = 1
#: Bytes of a fingerprint: that two values of a user share one is a matter of 1 in 10¹⁹.
FINGERPRINT_BYTES = 8
#: Greater than any hash.
_NO_LIMIT = b"\xff" * 65

#: Attribute → the fingerprint of its value; None: it was unset, so the user must not have it.
Fingerprints = dict[str, str | None]


class SampledUser(BaseModel):
    """
    A user of a sample, and what was sent last of each attribute.

    :param id: the customer id.
    :param attributes: the fingerprints of the values that can be compared.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    id: str
    attributes: Fingerprints


class SampleFile(BaseModel):
    """
    A sample as it is written.

    :param workspace: the Workspace ID that the users were sent to.
    :param project_code: the project of a Portfolio workspace.
    :param operation: the operation that sent them, such as ``track_users``.
    :param sent_at: the end of the attempt that sent the last of them, in UTC.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal[1] = SAMPLE_FORMAT
    workspace: str
    project_code: str | None
    operation: str
    sent_at: str
    users: list[SampledUser]

    def is_of(self, workspace: Workspace) -> bool:
        """Whether the users were sent to this workspace, and to this project of it."""
        return (self.workspace, self.project_code) == (workspace.app_id, workspace.project_code or None)


class Sample:
    """
    The users with the smallest hashes of their ids, among all that were accepted; thread-safe.

    The choice depends on the ids alone: neither on the order of the rows nor on the attempt that sent them, so an attempt
    that resumes continues the sample of the last one. Memory depends on the size alone.

    :param size: the maximum number of users, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        #: By the hash of the id; up to twice the size, so that sorting is rare.
        self._users: dict[bytes, tuple[str, Fingerprints]] = {}
        #: No user with a greater hash is among those with the smallest ones.
        self._limit = _NO_LIMIT

    def resume(self, folder: str, workspace: Workspace, operation: str) -> None:
        """
        Continue with the users that an earlier attempt of the same task has written to a folder.

        Without a usable file the sample consists of the users of this attempt, and a warning says so.

        :raises MoEngageStorageError: the file cannot be read.
        """
        url = sample_url(folder)
        try:
            earlier = read_sample(url)
            if not earlier.is_of(workspace) or earlier.operation != operation:
                raise MoEngageSampleDamaged(f"{url} is the sample of another workspace or operation")
        except (MoEngageSampleDamaged, MoEngageParameterError) as error:
            log.warning("The sample of the earlier attempt is left out: %s", error)
            return
        with self._lock:
            for user in earlier.users:
                self._users.setdefault(_hash(user.id), (user.id, dict(user.attributes)))
            self._reduce()

    def record(self, batch: Batch) -> None:
        """
        Record the users of an accepted batch, before another batch with one of them is sent.

        :param batch: contents are customers as Track User has them; others are left out.
        """
        for place, user in enumerate(batch.users):
            hashed = _hash(user)
            if hashed <= self._limit:
                self._record(hashed, batch.contents[place])

    def users(self) -> list[SampledUser]:
        """Return the users of the sample, in the order of their hashes."""
        with self._lock:
            self._reduce()
            return [SampledUser(id=id_, attributes=dict(known)) for id_, known in self._users.values()]

    def write(self, folder: str, workspace: Workspace, operation: str) -> str:
        """
        Write the sample to a folder, in place of the file of an earlier attempt, and return the file's URL.

        :param folder: the task instance's own, as an ``ObjectStoragePath`` URL.
        :raises MoEngageStorageError: it cannot be written.
        """
        now = datetime.now(timezone.utc).replace(tzinfo=None)
        file = SampleFile(
            workspace=workspace.app_id,
            project_code=workspace.project_code or None,
            operation=operation,
            sent_at=now.isoformat(timespec="seconds") + "Z",
            users=self.users(),
        )
        path = folder_path(folder)
        try:
            make_folder(path)
            write_whole(path / SAMPLE_FILE, file.model_dump_json().encode())
        except OSError as error:
            raise MoEngageStorageError(
                f"The sample cannot be written to {sample_url(folder)} ({described(error)}){remedy(error, 'write there')}"
            ) from error
        return sample_url(folder)

    def _record(self, hashed: bytes, content: bytes) -> None:
        document = from_json(content)
        # Without a customer_id, Get User cannot find the user.
        if document.get("type") != "customer" or not document.get("customer_id"):
            return
        with self._lock:
            if hashed > self._limit:
                return
            id_, known = self._users.setdefault(hashed, (document["customer_id"], {}))
            _update(known, id_, document)
            if len(self._users) >= 2 * self._size:
                self._reduce()

    def _reduce(self) -> None:
        """Keep the users with the smallest hashes."""
        kept = sorted(self._users)[: self._size]
        self._users = {hashed: self._users[hashed] for hashed in kept}
        if len(kept) == self._size:
            self._limit = kept[-1]


def sample_url(folder: str) -> str:
    """Return the URL of a folder's sample."""
    return f"{folder.rstrip('/')}/{SAMPLE_FILE}"


def read_sample(url: str, parameter: str = "sample_path") -> SampleFile:
    """
    Read a sample.

    :param url: as :meth:`Sample.write` returns it.
    :param parameter: the parameter that names it, for the errors.
    :raises MoEngageParameterError: there is no such file, or its file system or connection.
    :raises MoEngageSampleDamaged: it is damaged, or something else.
    :raises MoEngageStorageError: it cannot be read.
    """
    path = storage_path(url, parameter)
    try:
        content = read_whole(path)
    except OSError as error:
        raise MoEngageStorageError(
            f"The sample {url} cannot be read ({described(error)}){remedy(error, 'read it')}"
        ) from error
    if content is None:
        raise MoEngageParameterError(
            f"{parameter} {url!r} does not exist, as this worker sees it; a task writes it if it has sample=, to a folder "
            "that all workers reach"
        )
    try:
        return SampleFile.model_validate_json(content)
    except ValidationError:
        # Without the cause, which may show ids.
        raise MoEngageSampleDamaged(
            f"{url} is damaged, or not a sample of this version of the package; run the task that has sample= again, which "
            "replaces it"
        ) from None


def fingerprint(customer_id: str, name: str, value: Any) -> str | None:
    """
    Return the fingerprint of an attribute's value in its normal form; None if the value means that there is none.

    The id and the name are part of it, so that equal values of several users cannot be told.
    """
    normal = normal_form(value)
    if normal is None:
        return None
    text = json.dumps([customer_id, name, normal], sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).hexdigest()


def _hash(customer_id: str) -> bytes:
    try:
        return blake2b(customer_id.encode()).digest()
    except UnicodeEncodeError:
        # A pair of surrogates, which JSON can hold and UTF-8 cannot.
        return blake2b(customer_id.encode("utf-16", "surrogatepass").decode("utf-16").encode()).digest()


def _update(known: Fingerprints, customer_id: str, document: Mapping[str, Any]) -> None:
    """Update what is known of a user by a record of it; what the record makes unknown is left out from then on."""
    for name, value in document.get("attributes", {}).items():
        if name in ARRAY_OPERATORS:
            # The array may have had other elements before.
            for changed in value:
                known.pop(changed, None)
        elif value is None:
            # What MoEngage does with a null is not documented.
            known.pop(name, None)
        elif name not in NOT_READ_BACK:
            known[name] = fingerprint(customer_id, name, value)
    _unset(known, document.get("unset_attributes", ()))


def _unset(known: Fingerprints, rules: Sequence[Mapping[str, Any]]) -> None:
    """Mark the attributes that rules of ``unset_attributes`` name; unset wins over set in one record."""
    for rule in rules:
        attr = rule["attr"]
        names = {name for name in known if _matches(rule["type"], name, attr, rule["case_sensitive"])}
        if rule["type"] == "equals" and attr not in NOT_READ_BACK:
            names.add(attr)
        known.update(dict.fromkeys(names))


def _matches(how: str, name: str, attr: str, case_sensitive: bool) -> bool:
    if not case_sensitive:
        name, attr = name.casefold(), attr.casefold()
    if how == "prefix":
        return name.startswith(attr)
    if how == "suffix":
        return name.endswith(attr)
    return attr in name if how == "contains" else name == attr
