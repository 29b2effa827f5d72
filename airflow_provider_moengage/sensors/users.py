"""The sensor that reads back a sample of the users that were sent."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn

from typing_extensions import Unpack

from airflow_provider_moengage._compat import (
    AirflowSensorTimeout,
    BaseSensorOperator,
    Context,
    PokeReturnValue,
    conf,
)
from airflow_provider_moengage.api.errors import MoEngageParameterError, MoEngageSampleDamaged
from airflow_provider_moengage.delivery.changes.arrival import Arrival, ArrivalCheck
from airflow_provider_moengage.delivery.changes.sample import SampleFile, read_sample
from airflow_provider_moengage.delivery.quantities import counted
from airflow_provider_moengage.delivery.send.cancellation import Cancellation
from airflow_provider_moengage.delivery.shape.not_rows import of_empty_text
from airflow_provider_moengage.exceptions import MoEngageTaskFailed
from airflow_provider_moengage.hooks.moengage import MoEngageHook
from airflow_provider_moengage.operations.get_users import IdentifierMapping
from airflow_provider_moengage.operators.task_arguments import TaskArguments
from airflow_provider_moengage.parameters import check_count_or_share, check_switch
from airflow_provider_moengage.triggers.next_poke import NextPokeTrigger

log = logging.getLogger(__name__)

#: Attributes that an error or a log line names.
MAX_NAMES = 20


class SensorArguments(TaskArguments, total=False):
    """The arguments of Airflow's ``BaseSensorOperator``, typed."""

    poke_interval: timedelta | float
    timeout: timedelta | float
    soft_fail: bool
    mode: str
    exponential_backoff: bool
    max_wait: timedelta | float | None
    silent_fail: bool
    never_fail: bool


class MoEngageUsersArrivedSensor(BaseSensorOperator):
    """
    Waits until MoEngage has the users that a task has sent, as it has sent them.

    MoEngage answers 200 once it has accepted a user, and processes it later. This sensor reads a random sample of the
    users back with Get User, which the workspace must have enabled, and compares every attribute that was sent. A user
    whose attributes are changed by somebody else in the meantime counts as different, as does one that a later row or
    another task has updated: sense before the next push.

    A poke costs one unit of the rate window ``get_users`` for each user of the sample.

    Example::

        MoEngageUsersArrivedSensor(
            task_id="arrived",
            sample_path="{{ ti.xcom_pull(task_ids='push')['sample_path'] }}",
            max_missing=0.01,
            poke_interval=60,
            timeout=3600,
            deferrable=True,
        )

    :param sample_path: the file with the sample, which the task that sends the users writes if it has ``sample=``, and
        returns as ``sample_path``. Templated.
    :param max_missing: users of the sample that MoEngage need not know: an int is a count, a float below 1 a share of
        the sample.
    :param max_different: users of the sample that may have other values than those sent, likewise.
    :param moengage_conn_id: the MoEngage connection, of the workspace that the users were sent to. Templated.
    :param project_code: the project of a Portfolio workspace, in place of the connection's. Templated.
    :param deferrable: release the worker slot between pokes, in place of ``mode``; None: ``[operators]
        default_deferrable``.
    :param kwargs: arguments of Airflow's ``BaseSensorOperator``, such as ``task_id``, ``poke_interval``, ``timeout``,
        which is counted from the first poke over all deferrals, and ``soft_fail``.
    :return: the counts ``sampled``, ``equal``, ``missing`` and ``different``, and ``attributes``: attribute → users of
        which it differs.
    """

    template_fields: Sequence[str] = ("sample_path", "moengage_conn_id", "project_code")

    def __init__(
        self,
        *,
        sample_path: Any,
        max_missing: float = 0,
        max_different: float = 0,
        moengage_conn_id: str = MoEngageHook.default_conn_name,
        project_code: str | None = None,
        deferrable: bool | None = None,
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.sample_path = sample_path
        self.max_missing = max_missing
        self.max_different = max_different
        self.moengage_conn_id = moengage_conn_id
        self.project_code = project_code
        self.deferrable = deferrable
        self._cancellation: Cancellation | None = None
        #: When the first poke began, as a time of the epoch; None: the worker waits between pokes.
        self._deferrable_since: float | None = None
        self._pokes = 0
        self._found = ""
        check_count_or_share("max_missing", max_missing, "users")
        check_count_or_share("max_different", max_different, "users")
        check_switch("deferrable", deferrable, optional=True)

    def execute(self, context: Context) -> Arrival:
        """
        Poke until the users have arrived.

        :raises AirflowSensorTimeout: they have not within ``timeout``; it names the counts and the attributes.
        :raises MoEngageTaskFailed: a retry would not help: there is no sample, it is another workspace's, or MoEngage
            refuses Get User.
        :raises MoEngageIncompleteRun: the users could not be read.
        """
        self._deferrable_since, self._pokes = time.time() if self._defers() else None, 0
        return self._sense(context)

    def resume(self, context: Context, event: Mapping[str, Any]) -> Arrival:
        """Poke again after a deferral, as :class:`NextPokeTrigger` says. Result and errors as :meth:`execute`."""
        self._deferrable_since, self._pokes = event["since"], event["pokes"]
        return self._sense(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Read the users back once; see :meth:`execute`."""
        arrival = self._look()
        done = not (
            _exceeds(arrival["missing"], self.max_missing, arrival["sampled"])
            or _exceeds(arrival["different"], self.max_different, arrival["sampled"])
        )
        self._found = _described(arrival)
        log.info("%s", self._found)
        self._pokes += 1
        if not done and self._deferrable_since is not None:
            self._defer(self._deferrable_since)
        return PokeReturnValue(done, arrival)

    def on_kill(self) -> None:
        """Cancel the requests in flight."""
        if self._cancellation is not None:
            self._cancellation.cancel()

    def _sense(self, context: Context) -> Arrival:
        try:
            # Airflow's own loop: it ends with the first poke if the task is deferrable, and judges errors in any case.
            arrival: Arrival = super().execute(context)
        except AirflowSensorTimeout as timeout:
            allowed = f"max_missing={self.max_missing!r} and max_different={self.max_different!r}"
            raise AirflowSensorTimeout(f"{timeout} {self._found}; allowed are {allowed}") from None
        return arrival

    def _defers(self) -> bool:
        if self.deferrable is None:
            return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
        return self.deferrable

    def _defer(self, since: float) -> NoReturn:
        def duration() -> float:
            return time.time() - since

        if duration() > self.timeout:
            raise AirflowSensorTimeout(f"Sensor has timed out after {duration():.0f} seconds.")
        pause = self._get_next_poke_interval(since, duration, self._pokes)
        moment = datetime.now(timezone.utc) + timedelta(seconds=pause)
        trigger = NextPokeTrigger(moment=moment, since=since, pokes=self._pokes)
        self.defer(trigger=trigger, method_name="resume")

    def _look(self) -> Arrival:
        hook = MoEngageHook(self.moengage_conn_id, project_code=self.project_code)
        try:
            sample = self._sample(hook)
        except (MoEngageParameterError, MoEngageSampleDamaged) as error:
            raise MoEngageTaskFailed(str(error)) from None
        check = ArrivalCheck(sample.users)
        if not sample.users:
            log.warning("The sample is empty: no user was accepted, so there is nothing to compare")
            return check.result()
        self._cancellation = Cancellation()
        hook.get_users(
            [user.id for user in sample.users],
            sink=check,
            mapping=IdentifierMapping(fields=check.fields),
            cancellation=self._cancellation,
        )
        return check.result()

    def _sample(self, hook: MoEngageHook) -> SampleFile:
        if nothing := of_empty_text("sample_path", self.sample_path):
            raise MoEngageParameterError(f"{nothing} The task that sends the users needs sample=")
        sample = read_sample(str(self.sample_path))
        if not sample.is_of(hook.workspace):
            # The id in the connection is not shown: before MoEngage has accepted it, it may be the key.
            project = f", project {sample.project_code!r}" if sample.project_code else ""
            raise MoEngageParameterError(
                f"The users of {self.sample_path} were sent to workspace {sample.workspace!r}{project}, and the connection "
                f"{self.moengage_conn_id!r} is another workspace's; use the connection and the project of the task that "
                "sent them"
            )
        return sample


def _exceeds(count: int, allowed: float, sampled: int) -> bool:
    return (count / sampled if isinstance(allowed, float) and sampled else count) > allowed


def _described(arrival: Arrival) -> str:
    """Return the counts of a poke as one line, with the attributes that differ most."""
    names = [f"{name} {count:,}" for name, count in arrival["attributes"].items()]
    if len(names) > MAX_NAMES:
        names = [*names[:MAX_NAMES], f"{len(names) - MAX_NAMES} more"]
    return (
        f"Of {counted(arrival['sampled'], 'user')} of the sample {arrival['equal']:,} are as they were sent, "
        f"{arrival['missing']:,} missing, {arrival['different']:,} different"
        + (f" ({', '.join(names)})" if names else "")
    )
