"""Types for programs that are checked: the report's keys, and what ``types`` takes."""

from airflow_provider_moengage.delivery.report import Report
from airflow_provider_moengage.delivery.shape.typed_text import AttributeType, DateFormat

__all__ = ["AttributeType", "DateFormat", "Report"]
