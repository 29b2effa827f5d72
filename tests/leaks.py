"""
Finds secrets and people in the texts that the suite's runs leave behind; :mod:`tests.watching` hands them over.

What pytest's hooks cannot see, such as what a program prints, is handed to :data:`watch` where it appears.
"""

from __future__ import annotations

import base64
import logging
import re
import sqlite3
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A name that nothing but a person in a test's row bears: a text that holds it holds somebody's value.
PERSON = "Wenzelgunde"
#: The ids of the rows that most tests send.
CUSTOMER_IDS = re.compile(r"\buser-\d+\b")
#: Workspace and key of the sandbox that most tests send to, and of the demo's; others are learned when they are used.
CREDENTIALS = (("SANDBOX_WORKSPACE", "SANDBOX_KEY"), ("DEMO_WORKSPACE", "demo-key"))
#: Passwords of other connections, the Redis server's among them.
PASSWORDS = ("REDISKEY",)
#: Shorter keys are words of the tests' own, which stand in any text.
SHORTEST_KEY = 8

#: What must not be found.
KEY, HEADER, PASSWORD = "the API key", "the Authorization header's value", "a password"
MARKED_VALUE, CUSTOMER_ID = "a marked value", "a customer id"
#: Where texts come from.
LOG, OUTPUT, EXCEPTION = "a log line", "the output", "an exception"
XCOM, RENDERED, DATABASE, CHECKPOINT = "XCom", "a rendered field", "the metadata database", "a checkpoint"

#: A line that was logged below INFO, as Airflow 3 and Airflow 2 print it.
DEBUG_LINE = re.compile(r"\[debug *\]| DEBUG - ")
#: What Get Users returns beside its report: profiles, which is what it is for.
PROFILES = frozenset({"users", "users_not_found"})
#: A place in a traceback: what follows it, further indented, is source code and nothing that was said.
SOURCE_LINES = re.compile(r'^ *File ".*", line \d+.*\n(?: {4,}.*(?:\n|$))*', re.MULTILINE)
#: Characters of the text that a finding shows on either side.
SHOWN = 100


@dataclass(frozen=True)
class Finding:
    """A text that held what it must not; what that was is named and not shown."""

    where: str
    detail: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}{f' ({self.detail})' if self.detail else ''} held {self.kind}: {self.text}"


class Watch:
    """Finds forbidden texts in those that are handed to it; usable from many threads."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was found, counted and learned."""
        self.findings: list[Finding] = []
        self.watched: Counter[str] = Counter()
        self._secrets: dict[str, str] = dict.fromkeys(PASSWORDS, PASSWORD)
        for app_id, api_key in CREDENTIALS:
            self.learn(app_id, api_key)

    def learn(self, app_id: str, api_key: str) -> None:
        """Take a key for a secret from now on, and the value of the header that carries it."""
        if len(api_key) >= SHORTEST_KEY:
            self._secrets[api_key] = KEY
        header = base64.b64encode(f"{app_id}:{api_key}".encode()).decode()
        self._secrets[header] = HEADER

    def __call__(self, text: object, where: str, detail: str = "") -> None:
        """
        Look at a text, or at the text of anything else.

        :param where: one of :data:`LOG` … :data:`CHECKPOINT`.
        :param detail: what it was more exactly, for whoever has to find it.
        """
        text = str(text)
        self.watched[where] += 1
        kinds = {kind for secret, kind in list(self._secrets.items()) if secret in text}
        if PERSON.lower() in text.lower():
            kinds.add(MARKED_VALUE)
        if CUSTOMER_IDS.search(text):
            kinds.add(CUSTOMER_ID)
        if kinds:
            shown = self._named(text)
        for kind in sorted(kinds):
            place = max(0, shown.find(f"<{kind}>"))
            around = shown[max(0, place - SHOWN) : place + SHOWN]
            self.findings.append(Finding(where, detail, kind, around))

    def _named(self, text: str) -> str:
        """Put the names of what must not be shown in its place."""
        for secret, kind in list(self._secrets.items()):
            text = text.replace(secret, f"<{kind}>")
        text = re.sub(PERSON, f"<{MARKED_VALUE}>", text, flags=re.IGNORECASE)
        return CUSTOMER_IDS.sub(f"<{CUSTOMER_ID}>", text)

    def record(self, record: logging.LogRecord) -> None:
        """Look at a log record as a handler would show it."""
        # Without a level it is an empty one, that a formatter is about to fill with another's fields.
        if not record.levelno or record.levelno < logging.INFO:
            return
        detail = f"{record.name}, {record.levelname}"
        # A record that cannot be formatted is for logging itself to complain of.
        with suppress(TypeError, ValueError):
            self(record.getMessage(), LOG, detail)
        if record.exc_info and record.exc_info[1] is not None:
            self.error(record.exc_info[1], LOG, detail)

    def output(self, text: str, detail: str) -> None:
        """Look at what a program printed; lines below INFO and the source code in tracebacks are left out."""
        said = (line for line in SOURCE_LINES.sub("", text).splitlines() if not DEBUG_LINE.search(line))
        self("\n".join(said), OUTPUT, detail)

    def error(self, error: BaseException, where: str = EXCEPTION, detail: str = "") -> None:
        """Look at an exception and at those behind it that a traceback shows."""
        seen: set[int] = set()
        shown: BaseException | None = error
        while shown is not None and id(shown) not in seen:
            seen.add(id(shown))
            name = " ".join(filter(None, [detail, type(shown).__name__]))
            for text in {str(shown), repr(shown), repr(shown.args), *getattr(shown, "__notes__", ())}:
                self(text, where, name)
            shown = shown.__cause__ or (None if shown.__suppress_context__ else shown.__context__)

    def xcom(self, value: Any, detail: str) -> None:
        """Look at a value that is pushed; what Get Users returns beside its report is left out."""
        if isinstance(value, dict):
            value = {name: one for name, one in value.items() if name not in PROFILES}
        self(repr(value), XCOM, detail)

    def rendered(self, operator: Any) -> None:
        """Look at the templated fields of an operator as Airflow would show them."""
        for name in operator.template_fields:
            self(getattr(operator, name), RENDERED, name)

    def database(self, file: Path) -> None:
        """Look at every table of a metadata database in SQLite; but the DAGs' files are in it as they are."""
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        # Some columns are said to be of a type that Python's converters do not take.
        connection.text_factory = lambda content: content.decode("utf-8", "replace")
        names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
        for name in {name for (name,) in names} - {"dag_code"}:
            for row in connection.execute(f'select * from "{name}"'):
                self(row, DATABASE, f"table {name}")
        connection.close()

    def folder(self, folder: Path) -> None:
        """Look at the checkpoints and at Airflow's log files that lie in a folder."""
        for file in folder.rglob("*"):
            if file.name == "checkpoint.json":
                self(file.read_text("utf-8", "replace"), CHECKPOINT, file.name)
            elif file.suffix == ".log" and file.is_file():
                self.output(file.read_text("utf-8", "replace"), file.name)

    def take(self) -> list[Finding]:
        """Give what was found, and let it go: for the tests of the watch itself."""
        findings, self.findings = self.findings, []
        return findings


#: The one of the running test.
watch = Watch()
