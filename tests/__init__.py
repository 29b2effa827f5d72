import os

# Workers of pytest-xdist share no Airflow home: each writes its configuration there when it imports Airflow.
if "AIRFLOW_HOME" in os.environ and "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["AIRFLOW_HOME"] = os.path.join(os.environ["AIRFLOW_HOME"], os.environ["PYTEST_XDIST_WORKER"])
    os.makedirs(os.environ["AIRFLOW_HOME"], exist_ok=True)
