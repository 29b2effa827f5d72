"""Public types for type checkers: the report's keys, and the values of the parameter ``types``."""

from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat

__all__ = ["AttributeType", "DateFormat", "Report"]
