"""
Finds secrets and people in the texts that the suite's runs leave behind; :mod:`tests.support.watching` passes most of them.

What pytest's hooks cannot see, such as what a program prints, is passed to :data:`watch` where it appears.
"""

from __future__ import annotations

import base64
import logging
import re
import sqlite3
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

#: A name that only a person in a test's row has: a text that holds it holds a value of a row.
PERSON = "Wenzelgunde"
#: Workspace and key of the sandbox of most tests, and of the demo; others are learned when they are used.
CREDENTIALS = (("SANDBOX_WORKSPACE", "SANDBOX_KEY"), ("DEMO_WORKSPACE", "demo-key"))
#: Shorter keys are words that occur in any text.
MIN_KEY_LENGTH = 8

#: What must not be found.
KEY, HEADER, PASSWORD = "the API key", "the Authorization header's value", "a password"
MARKED_VALUE, CUSTOMER_ID = "a marked value", "a customer id"
#: Where texts come from.
LOG, OUTPUT, EXCEPTION = "a log line", "the output", "an exception"
XCOM, RENDERED, DATABASE, CHECKPOINT = "XCom", "a rendered field", "the metadata database", "a checkpoint"

#: The same in every test; the ids are those of the rows that most tests send.
PATTERNS = {
    re.compile(PERSON, re.IGNORECASE): MARKED_VALUE,
    re.compile(r"\buser-\d+\b"): CUSTOMER_ID,
    re.compile("REDISKEY"): PASSWORD,
}
#: Output that may hold people: lines logged below INFO, by Airflow 3 and 2, and source code in tracebacks.
UNWATCHED_OUTPUT = re.compile(
    r'^ *File ".*", line \d+.*\n(?: {4,}.*(?:\n|$))*|^.*(?:\[debug *\]| DEBUG - ).*$', re.MULTILINE
)
#: What Get Users returns beside its report: the profiles that were asked for.
PROFILES = frozenset({"users", "users_not_found"})


class Finding(NamedTuple):
    """What a text held, and where; ``text`` is what is around it, without it."""

    kind: str
    where: str
    detail: str
    text: str

    def __str__(self) -> str:
        return f"{self.where} ({self.detail}) held {self.kind}: {self.text}"


class Watch:
    """Finds forbidden texts in those passed to it; usable from many threads."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was found, counted and learned."""
        self.findings: list[Finding] = []
        self.watched: Counter[str] = Counter()
        self._patterns = dict(PATTERNS)
        for app_id, api_key in CREDENTIALS:
            self.learn(app_id, api_key)

    def learn(self, app_id: str, api_key: str) -> None:
        """Treat a key, and the header's value that carries it, as secrets from now on."""
        header = base64.b64encode(f"{app_id}:{api_key}".encode()).decode()
        self._patterns[re.compile(re.escape(header))] = HEADER
        if len(api_key) >= MIN_KEY_LENGTH:
            self._patterns[re.compile(re.escape(api_key))] = KEY

    def __call__(self, text: object, where: str, detail: str) -> None:
        """
        Search a text, or the text of anything else.

        :param where: one of :data:`LOG` … :data:`CHECKPOINT`.
        :param detail: what it was more exactly, for whoever has to find it.
        """
        text = str(text)
        self.watched[where] += 1
        patterns = list(self._patterns.items())
        kinds = {kind for pattern, kind in patterns if pattern.search(text)}
        if not kinds:
            return
        for pattern, kind in patterns:
            text = pattern.sub(f"<{kind}>", text)
        for kind in kinds:
            place = max(0, text.find(f"<{kind}>"))
            self.findings.append(Finding(kind, where, detail, text[max(0, place - 100) : place + 100]))

    def record(self, record: logging.LogRecord) -> None:
        """Search a log record as a handler would show it."""
        # A copy of a record has no level until it has the original's attributes.
        level: int | None = record.levelno
        if level is None or level < logging.INFO:
            return
        detail = f"{record.name}, {record.levelname}"
        # Logging itself reports a record that cannot be formatted.
        with suppress(TypeError, ValueError):
            self(record.getMessage(), LOG, detail)
        if record.exc_info and record.exc_info[1] is not None:
            self.error(record.exc_info[1], LOG, detail)

    def output(self, text: str, detail: str) -> None:
        """Search what a program printed, without :data:`UNWATCHED_OUTPUT`."""
        self(UNWATCHED_OUTPUT.sub("", text), OUTPUT, detail)

    def error(self, error: BaseException, where: str = EXCEPTION, detail: str = "raised") -> None:
        """Search an exception and those behind it that a traceback shows."""
        name = f"{detail}, {type(error).__name__}"
        self((str(error), repr(error), *getattr(error, "__notes__", ())), where, name)
        behind = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if behind is not None:
            self.error(behind, where, detail)

    def xcom(self, value: Any, detail: str) -> None:
        """Search a value that is pushed, without the profiles of Get Users."""
        if isinstance(value, dict):
            value = {name: one for name, one in value.items() if name not in PROFILES}
        self(repr(value), XCOM, detail)

    def database(self, file: Path) -> None:
        """Search every table of a metadata database in SQLite, but the one that holds the DAGs' files."""
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        # Some columns have a declared type that Python's converters do not accept.
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for name in {name for (name,) in names} - {"dag_code"}:
            for row in connection.execute(f'select * from "{name}"'):
                self(row, DATABASE, f"table {name}")
        connection.close()

    def folder(self, folder: Path) -> None:
        """Search the checkpoints and Airflow's log files in a folder."""
        for file in folder.rglob("checkpoint.json"):
            self(file.read_text("utf-8", "replace"), CHECKPOINT, file.name)
        for file in folder.rglob("*.log"):
            if file.is_file():
                self.output(file.read_text("utf-8", "replace"), file.name)


#: The one of the running test.
watch = Watch()
