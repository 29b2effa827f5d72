"""
The exceptions that end a task, derived from Airflow's.

::

    MoEngageError
    ├── MoEngageTaskFailed      also an AirflowFailException: a retry would not help
    └── MoEngageIncompleteRun   also an AirflowException: a retry resumes
"""

from __future__ import annotations

from airflow_provider_moengage._compat import AirflowException, AirflowFailException
from airflow_provider_moengage.api.errors import MoEngageError
from airflow_provider_moengage.delivery.report import Report


class MoEngageTaskFailed(MoEngageError, AirflowFailException):
    """
    The task failed and a retry would not help: rejected rows, credentials, or bad parameters found at run time.

    :param report: the run's counts, if there was a run.
    """

    def __init__(self, text: str, *, report: Report | None = None) -> None:
        super().__init__(text)
        self.report = report


class MoEngageIncompleteRun(MoEngageError, AirflowException):
    """
    Rows were left unsent or unread; a retry of the task sends them.

    :param report: the run's counts.
    :param retry_after: seconds until a retry makes sense, if known.
    """

    def __init__(self, text: str, *, report: Report, retry_after: float | None = None) -> None:
        super().__init__(text, retry_after=retry_after)
        self.report = report
