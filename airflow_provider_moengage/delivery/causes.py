"""What may be said of an error that ended a run: databases quote the values they stumble over, and those are people's."""

from __future__ import annotations

import logging

from airflow_provider_moengage.api.errors import MoEngageError

log = logging.getLogger(__name__)

#: SQLSTATEs of this class tell of the statement's grammar and of tables and columns, and never of a row.
NAMES_AND_GRAMMAR = "42"


def said_of(cause: Exception) -> str:
    """Give the sentence that the task's error tells of what ended the run."""
    if isinstance(cause, MoEngageError):
        return str(cause)
    if not _may_quote_rows(cause):
        return f"{type(cause).__name__}: {cause}"
    return said_by_database(cause)


def said_by_database(cause: Exception) -> str:
    """Give what a database's error tells, without what it may quote."""
    # SQLAlchemy has the driver's own error inside.
    error = getattr(cause, "orig", None) or cause
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    name = f"{type(error).__module__}.{type(error).__name__}" + (f", SQLSTATE {state}" if state else "")
    about_names = getattr(getattr(error, "diag", None), "message_primary", None)
    if about_names and str(state).startswith(NAMES_AND_GRAMMAR):
        return f"{name}: {about_names}"
    return f"{name}; the database's own words may quote a row, so they stand in the log at DEBUG alone"


def shown_with(cause: Exception) -> Exception | None:
    """Give what is raised as the cause of the task's error, whose words a traceback shows; None where it may not."""
    if not _may_quote_rows(cause):
        return cause
    log.debug("The run was ended by", exc_info=cause)
    return None


def _may_quote_rows(error: Exception) -> bool:
    """
    Tell whether this is a database's error about a statement or about values.

    PEP 249 gives drivers the names of their classes, but no class they share. Its OperationalError tells of the
    connection or of the database as a whole, and has to be read to be mended.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    return "DatabaseError" in names and "OperationalError" not in names
