"""Apache Airflow provider for MoEngage."""

__version__ = "0.1.0"
