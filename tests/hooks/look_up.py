"""
Run an operator with each of the connections that are named, and print how the task ends, as JSON.

``python look_up.py ID …``; where Airflow looks for connections, the environment says.
"""

from __future__ import annotations

import json
import sys

from airflow.secrets.base_secrets import BaseSecretsBackend

from airflow_provider_moengage.exceptions import MoEngageIncompleteRun, MoEngageTaskFailed
from airflow_provider_moengage.operators.users import MoEngageTrackUsersOperator


class UnreachableBackend(BaseSecretsBackend):
    """A secrets backend whose server does not answer."""

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        raise ConnectionError(f"no route to the server of {conn_id}")


class EmptyBackend(BaseSecretsBackend):
    """A secrets backend that answers, and knows no connection."""

    def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
        return None


def main() -> None:
    endings = {}
    for conn_id in sys.argv[1:]:
        operator = MoEngageTrackUsersOperator(
            task_id="push", users=[{"customer_id": "ann"}], moengage_conn_id=conn_id
        )
        try:
            operator.execute({})
        except (MoEngageTaskFailed, MoEngageIncompleteRun) as error:
            endings[conn_id] = (type(error).__name__, str(error))
    print(json.dumps(endings))


if __name__ == "__main__":
    main()
