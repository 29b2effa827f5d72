"""The hook: delivers rows through the client that an Airflow connection describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from typing_extensions import Unpack

from airflow_provider_moengage.api.errors import MoEngageParameterError
from airflow_provider_moengage.delivery.account.rejected_rows import RejectedParts
from airflow_provider_moengage.delivery.account.segments import SEGMENT_ROWS
from airflow_provider_moengage.delivery.changes.changed_only import (
    ChangedOnly,
    SampleRequest,
    every_row_is_sent,
)
from airflow_provider_moengage.delivery.changes.changed_rows import ChangedRows
from airflow_provider_moengage.delivery.changes.kept_sample import KeptSample
from airflow_provider_moengage.delivery.operation import Operation, Responses, RowMapping
from airflow_provider_moengage.delivery.read.sources import Guarded
from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.report_table import LoggedEnd
from airflow_provider_moengage.delivery.run import Delivery
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.changes import deliver_changes
from airflow_provider_moengage.hooks.connection_hook import MoEngageConnectionHook
from airflow_provider_moengage.hooks.metrics import RunMetrics
from airflow_provider_moengage.hooks.options import (
    DeliveryArguments,
    DeliveryOptions,
    as_source,
)
from airflow_provider_moengage.hooks.outcome import conclude
from airflow_provider_moengage.operations.bulk_endpoint import DEFAULT_MAX_BYTES
from airflow_provider_moengage.operations.bulk_import import BULK_IMPORT, ElementMapping
from airflow_provider_moengage.operations.delete_users import (
    DEFAULT_MAX_USERS,
    DELETE_USERS,
    DeletionMapping,
    DeletionResponses,
)
from airflow_provider_moengage.operations.get_users import GET_USERS, IdentifierMapping, Missing, UsersRead
from airflow_provider_moengage.operations.merge_users import MERGE_USERS
from airflow_provider_moengage.operations.opt_out_devices import OPT_OUT_DEVICES, OptOutMapping
from airflow_provider_moengage.operations.track_devices import TRACK_DEVICES, DeviceMapping
from airflow_provider_moengage.operations.track_events import TRACK_EVENTS, EventMapping
from airflow_provider_moengage.operations.track_users import TRACK_USERS, UserMapping
from airflow_provider_moengage.operations.unset_attributes import UNSET_ATTRIBUTES, UnsetMapping
from airflow_provider_moengage.operations.user_outputs import Sink
from airflow_provider_moengage.parameters import (
    ON_UNKNOWN,
    check_max_bytes,
    check_one_of,
    check_switch,
    check_whole_number,
)


class MoEngageHook(MoEngageConnectionHook):
    """
    Holds a MoEngage connection and delivers rows: login = Workspace ID, password = the key of the Data tile.

    :param moengage_conn_id: the Airflow connection.
    :param project_code: the project of a Portfolio workspace, in place of the connection's.
    """

    #: Rows by which the checkpoint of a run advances; after a crash, about so many are sent again.
    segment_rows = SEGMENT_ROWS

    def deliver(
        self,
        operation: Operation,
        rows: object,
        *,
        mapping: RowMapping | None = None,
        bulk: bool = False,
        max_bytes: int | None = None,
        responses: Responses | None = None,
        on_unknown: Literal["resend", "reject"] = "resend",
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Deliver rows to an operation.

        :param operation: one of :data:`~airflow_provider_moengage.operations.OPERATIONS`.
        :param rows: a list of rows, or a :class:`~airflow_provider_moengage.delivery.read.sources.Source`.
        :param mapping: converts rows to records; None: the operation's own with its defaults.
        :param bulk: pack the rows into Bulk Import requests.
        :param max_bytes: the largest body of one request; None: the endpoint's.
        :param responses: what the responses mean; None: the operation's own default.
        :param on_unknown: what happens to rows that would be duplicated if they were sent twice, once their request got
            no response: ``resend`` or ``reject``.
        :param options: see :class:`~airflow_provider_moengage.hooks.options.DeliveryArguments`.
        :return: the report: ``read``, ``accepted``, ``rejected``, ``unsent``, ``unknown``, ``requests``, ``retried``,
            ``throttled_seconds``, ``duration_seconds``, ``source_exhausted``, ``rejected_path``, ``reasons``.
        :raises MoEngageParameterError: a parameter is not allowed; nothing was read.
        :raises MoEngageTaskFailed: more rows were rejected than allowed, or the credentials or the source's columns
            are wrong; its ``report`` has the counts.
        :raises MoEngageIncompleteRun: rows were left unsent or unread.
        """
        check_one_of("on_unknown", on_unknown, ON_UNKNOWN)
        check_switch("bulk", bulk)
        checked = DeliveryOptions.of(options)
        if bulk:
            operation = operation.in_bulk()
        if mapping is None:
            if operation.mapping is None:
                raise MoEngageParameterError(f"mapping is missing; {operation.name} has no default")
            mapping = operation.mapping()
        if max_bytes is not None:
            check_max_bytes(max_bytes)
            operation = replace(operation, endpoint=replace(operation.endpoint, max_bytes=max_bytes))
        if responses is None:
            if operation.responses is None:
                raise MoEngageParameterError(f"responses is missing; {operation.name} has no default")
            responses = operation.responses()
        source = as_source(operation.rows, rows)
        if operation.max_rows is not None and not isinstance(source, Guarded):
            source = Guarded(source, operation.max_rows)
        folder = checked.rejected_path
        delivery = Delivery(
            source,
            mapping,
            operation,
            self.get_conn,
            checked.concurrency,
            responses=responses,
            on_unknown=on_unknown,
            parts=RejectedParts(folder, replace=checked.replace_rejected) if folder else None,
            validate_only=checked.validate_only,
            # No metrics for validate_only: nothing was sent.
            observe=None if checked.validate_only else RunMetrics(operation.endpoint),
            live_progress=checked.live_progress,
            checkpoints=checked.checkpoints,
            max_wait=checked.max_wait,
            cancellation=checked.cancellation or Cancellation(),
            segment_rows=self.segment_rows,
            changes=_changed_rows(checked.changes, operation),
            sample=_kept_sample(None if checked.validate_only else checked.sample, operation),
        )
        try:
            run, failure = deliver_changes(delivery)
        finally:
            if "_client" in vars(self):
                # It may be used for another run: only what is idle is closed.
                self._client.release()
        report = run.report.to_json()
        if checked.on_report is not None:
            checked.on_report(report)
        with LoggedEnd(report):
            conclude(report, run.stopped_by, checked.max_rejected)
        failure = failure or responses.failure(report["read"])
        if failure is not None:
            raise MoEngageTaskFailed(failure, report=report)
        return report

    def track_users(
        self,
        users: object,
        *,
        mapping: UserMapping | None = None,
        bulk: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Create and update users, one Track User request each, or many in a Bulk Import request; result and errors as
        :meth:`deliver`.

        :param users: a list of rows, or a :class:`~airflow_provider_moengage.delivery.read.sources.Source`. A row is
            flat (``{"customer_id": "a1", "plan": "gold"}``) or in the API's own shape.
        :param mapping: converts rows to users; None: ``customer_id`` and every other column under its own name.
        :param bulk: pack the users into Bulk Import requests.
        :param max_bytes: the largest body of one Bulk Import request.
        :param options: see :class:`~airflow_provider_moengage.hooks.options.DeliveryArguments`.
        """
        most = _bytes_in_bulk(bulk, max_bytes)
        return self.deliver(TRACK_USERS, users, mapping=mapping, bulk=bulk, max_bytes=most, **options)

    def unset_attributes(
        self,
        users: object,
        *,
        mapping: UnsetMapping,
        bulk: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Unset attributes of users; parameters as :meth:`track_users`, result and errors as :meth:`deliver`.

        :param users: rows, or bare ids.
        :param mapping: what is unset; an early-access feature that MoEngage enables per workspace.
        """
        most = _bytes_in_bulk(bulk, max_bytes)
        return self.deliver(UNSET_ATTRIBUTES, users, mapping=mapping, bulk=bulk, max_bytes=most, **options)

    def get_users(
        self,
        users: object,
        *,
        sink: Sink,
        mapping: IdentifierMapping | None = None,
        on_missing: Literal["ignore", "fail"] = "ignore",
        on_missing_ids: Callable[[list[Missing]], None] | None = None,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Read users back, twenty per request.

        :param users: rows, or bare ids; a repeated id is requested once.
        :param sink: receives the users, see :mod:`airflow_provider_moengage.operations.user_outputs`.
        :param mapping: which users are read, and which of their attributes.
        :param on_missing: ``fail``: users that MoEngage does not know fail the task, once all others are read.
        :param on_missing_ids: called with the ids that MoEngage does not know; with objects of ``identifier_type``
            and ``identifier`` if the rows hold each id's type.
        :return: the report, with ``found`` and ``not_found``; errors as :meth:`deliver`.
        """
        mapping = mapping or IdentifierMapping()
        responses = UsersRead(sink, mapping.missing, on_missing, on_missing_ids)
        return self.deliver(GET_USERS, users, mapping=mapping, responses=responses, **options)

    def track_events(
        self,
        events: object,
        *,
        mapping: EventMapping | None = None,
        on_unknown: Literal["resend", "reject"] = "resend",
        bulk: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Send events; consecutive rows of one user share a request, unless they go to Bulk Import with those of other
        users. Parameters as :meth:`track_users`, result and errors as :meth:`deliver`.

        :param events: rows, flat or in the API's own shape.
        :param mapping: converts rows to events.
        :param on_unknown: what happens to events whose request got no response: MoEngage may have accepted them, and
            resending would duplicate them. ``resend`` sends them again, ``reject`` rejects them. The report's
            ``unknown`` counts them either way, in events.
        """
        most = _bytes_in_bulk(bulk, max_bytes)
        return self.deliver(
            TRACK_EVENTS, events, mapping=mapping, on_unknown=on_unknown, bulk=bulk, max_bytes=most, **options
        )

    def track_devices(
        self, devices: object, *, mapping: DeviceMapping | None = None, **options: Unpack[DeliveryArguments]
    ) -> Report:
        """Create and update devices, one request each; result and errors as :meth:`deliver`."""
        return self.deliver(TRACK_DEVICES, devices, mapping=mapping, **options)

    def opt_out_devices(
        self, devices: object, *, mapping: OptOutMapping | None = None, **options: Unpack[DeliveryArguments]
    ) -> Report:
        """Block and unblock devices, one request each; result and errors as :meth:`deliver`."""
        return self.deliver(OPT_OUT_DEVICES, devices, mapping=mapping, **options)

    def bulk_import(
        self,
        elements: object,
        *,
        mapping: ElementMapping | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Send users, events and devices, mixed, in requests of up to 100,000 bytes; result and errors as
        :meth:`deliver`.

        :param elements: rows in the API's own shape, distinguished by their ``type``.
        :param max_bytes: the largest body of one request; one page of the documentation allows 128 KB.
        """
        return self.deliver(BULK_IMPORT, elements, mapping=mapping, max_bytes=max_bytes, **options)

    def merge_users(self, pairs: object, **options: Unpack[DeliveryArguments]) -> Report:
        """
        Merge users, fifty pairs per request; a merge cannot be undone. Result and errors as :meth:`deliver`.

        :param pairs: rows with ``merged_user`` and ``retained_user``.
        """
        return self.deliver(MERGE_USERS, pairs, **options)

    def delete_users(
        self,
        users: object,
        *,
        mapping: DeletionMapping | None = None,
        on_missing: Literal["ignore", "fail"] = "ignore",
        max_users: int = DEFAULT_MAX_USERS,
        **options: Unpack[DeliveryArguments],
    ) -> Report:
        """
        Delete users permanently, one per request; MoEngage does so within a day.

        :param users: rows, or bare ids; up to ``max_users`` of them are held in memory.
        :param on_missing: ``ignore`` counts users that MoEngage does not know as accepted, and as ``missing``;
            ``fail`` rejects them.
        :param max_users: more users than that fail the task before the first one is deleted.
        :return: the report, with ``missing``; errors as :meth:`deliver`.
        """
        check_whole_number("max_users", max_users, 1)
        responses = DeletionResponses(on_missing)
        guarded = Guarded(as_source("users", users), max_users)
        return self.deliver(DELETE_USERS, guarded, mapping=mapping, responses=responses, **options)


def _changed_rows(changes: ChangedOnly | None, operation: Operation) -> ChangedRows | None:
    """
    Return what leaves out the rows that have not changed.

    :raises MoEngageParameterError: every row of the operation has to be sent.
    """
    if changes is None:
        return None
    if operation.identity is None:
        raise MoEngageParameterError(every_row_is_sent(operation))
    return ChangedRows(changes, operation.name, operation.identity)


def _kept_sample(sample: SampleRequest | None, operation: Operation) -> KeptSample | None:
    return None if sample is None else KeptSample(sample.folder, sample.size, operation.name)


def _bytes_in_bulk(bulk: bool, max_bytes: int) -> int | None:
    """Return the largest body of a request; None, which means the endpoint's own, outside Bulk Import."""
    check_max_bytes(max_bytes)
    return max_bytes if bulk else None
