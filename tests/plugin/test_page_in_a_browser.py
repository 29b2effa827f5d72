"""The live page in a real Chromium, before a server that answers what Airflow's API may answer."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from airflow_provider_moengage.delivery.account.live_progress import as_json
from airflow_provider_moengage.delivery.account.progress import Progress
from faults.chromium import Chromium, has_chromium, running_chromium
from tests.support.dag_runs import ROOT
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.airflow_3,
    pytest.mark.skipif(not has_chromium(), reason="there is no Chromium with its driver"),
]

PAGE = ROOT / "airflow_provider_moengage" / "plugin" / "sync.html"
#: Below a path, as the reverse proxy of a deployment has it; its parts are encoded as Airflow's UI encodes them.
SYNC = "/team/airflow/moengage/sync/dag%C3%BC/run%20%2B%26%3F%23%25/task.%27%22/"
MARKUP = "<img src=x onerror=document.title='run'> & <script>document.title='run'</script>"
SHOWN = """
const seen = (id) => document.getElementById(id).checkVisibility() ? document.getElementById(id).innerText : "";
return Object.fromEntries(["state", "share", "notice", "connection", "reasons", "report", "status"].map((id) => [id, seen(id)]));
"""

OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


class Api(ThreadingHTTPServer):
    """The page, and what of Airflow's API it reads; a test sets the answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.instance: dict[str, Any] | None = {"state": "running", "try_number": 1}
        self.progress: Any = None
        self.report: Any = None
        self.status = HTTPStatus.OK
        self.version = "3.3.2"
        self.seconds = 0.0
        self.paths: list[str] = []
        self.lock = threading.Lock()
        self.at_once = self.most_at_once = 0

    def answer(self, path: str) -> Any:
        """Return the JSON of an address; None: it does not exist."""
        if path.endswith("/version"):
            return {"version": self.version}
        if "/state-store/progress" in path:
            return None if self.progress is None else {"key": "progress", "value": self.progress}
        if "/xcomEntries/" in path:
            value = self.report if "/report?" in path else self.progress
            return None if value is None else {"value": value}
        return self.instance


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        if "/moengage/sync/" in self.path:
            from airflow_provider_moengage.plugin.web import content_security_policy

            text = PAGE.read_text()
            self.respond(200, "text/html", text, {"Content-Security-Policy": content_security_policy(text)})
            return
        with self.server.lock:
            self.server.paths.append(self.path)
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.seconds)
        found = self.server.answer(self.path)
        status = self.server.status if self.server.status != HTTPStatus.OK or found is not None else 404
        with self.server.lock:
            self.server.at_once -= 1
        self.respond(status, "application/json", json.dumps(found), {})

    def respond(self, status: int, kind: str, text: str, headers: dict[str, str]) -> None:
        content = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def opened(browser: Chromium, api: Api, *, map_index: str = "-1") -> None:
    browser.open(f"http://127.0.0.1:{api.server_port}{SYNC.rstrip('/')}?map_index={map_index}")


def shown(browser: Chromium, **words: str) -> dict[str, str]:
    """Return what the page shows, once it has these words."""
    seen: dict[str, str] = {}

    def has_come() -> bool:
        seen.update(browser.run(SHOWN))
        return all(word in seen[name] for name, word in words.items())

    wait_until(has_come, f"{words} on the page")
    return seen


def progress(**changes: Any) -> dict[str, Any]:
    at = Progress(300, 0, 4, 1_000, 30.0, 12.0, None, reasons=((MARKUP, 3), ("customer_id is missing", 1)))
    return {**as_json(at, 1), **changes}


def test_what_others_have_written_is_text(browser: Chromium, api: Api):
    api.progress = progress(error=MARKUP, finished_at="2020-01-31T23:59:58.000Z", state="failed")
    api.instance = {"state": "failed", "try_number": 1}
    api.report = {
        "read": 1_000,
        "accepted": 300,
        "rejected": 4,
        "reasons": {MARKUP: 4},
        "rejected_path": MARKUP,
    }
    opened(browser, api)
    seen = shown(browser, state="Failed", reasons=MARKUP, notice=MARKUP, report=MARKUP)
    assert "304 of 1,000 rows (30 %)" in seen["share"].replace("\xa0", " ")
    assert browser.run("return [document.title, document.images.length]") == ["MoEngage sync", 0]
    # A day that is over is named.
    assert (
        browser.run("return document.getElementById('updated').innerText") == "ended 2020-01-31 23:59:58 UTC"
    )
    # The ids are passed on as they stand in the address, below the same path.
    run = "/team/airflow/api/v2/dags/dag%C3%BC/dagRuns/run%20%2B%26%3F%23%25/taskInstances/task.%27%22"
    assert {path.partition("?")[0] for path in api.paths} == {
        "/team/airflow/api/v2/version",
        run,
        f"{run}/state-store/progress",
        f"{run}/xcomEntries/report",
    }
    assert browser.errors() == []


def test_a_mapped_task_is_read_by_its_index(browser: Chromium, api: Api):
    api.progress, api.version = json.dumps(progress()), "3.2.2"
    opened(browser, api, map_index="7")
    shown(browser, state="Running", reasons="customer_id")
    paths = [path.partition("/taskInstances/")[2] for path in api.paths]
    assert {path.partition("/")[2] for path in paths if path} == {"7", "xcomEntries/progress?map_index=7"}


@pytest.mark.parametrize("value", [5, "half", [1], {"done": 5}, {"done": 1, "windows": [], "reasons": []}])
def test_what_a_task_of_others_keeps_under_the_same_keys_is_not_taken_for_ours(
    browser: Chromium, api: Api, value: Any
):
    api.progress = api.report = value
    api.instance = {"state": "success", "try_number": 1}
    opened(browser, api)
    seen = shown(browser, state="Succeeded", notice="This task has written no progress")
    assert (seen["connection"], seen["report"], seen["share"]) == ("", "", "")
    assert browser.errors() == []


@pytest.mark.parametrize(
    ("status", "state", "sentence"),
    [
        (HTTPStatus.UNAUTHORIZED, "Signed out", "Sign in to Airflow again"),
        (HTTPStatus.FORBIDDEN, "No permission", "no permission to see"),
        (
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "No connection",
            "does not respond (HTTP 500). Trying again in 4 s",
        ),
    ],
)
def test_an_api_that_refuses_is_named(
    browser: Chromium, api: Api, status: HTTPStatus, state: str, sentence: str
):
    api.status = status
    opened(browser, api)
    shown(browser, state=state, connection=sentence)
    api.status, api.progress = HTTPStatus.OK, progress()
    assert shown(browser, state="Running", share="304 of 1,000")["connection"] == ""


def test_before_the_task_and_without_it(browser: Chromium, api: Api):
    api.instance = {"state": None, "try_number": 0}
    opened(browser, api)
    shown(browser, state="Not started", notice="the task has not started")
    api.instance = {"state": "running", "try_number": 1}
    shown(browser, state="Running", notice="No progress has been written yet")
    api.instance = None
    shown(browser, state="Not found", notice="does not exist")


def test_one_read_follows_another_however_often_updates_are_paused(browser: Chromium, api: Api):
    api.progress, api.seconds = progress(), 0.2
    opened(browser, api)
    shown(browser, state="Running")
    for _ in range(10):
        browser.run("document.getElementById('pause').click()")
        browser.run("document.dispatchEvent(new Event('visibilitychange'))")
    seen = len(api.paths)
    wait_until(lambda: len(api.paths) >= seen + 4, "read again")
    assert api.most_at_once == 1
    pressed = (
        "const one = document.getElementById('pause'); one.click(); return [one.ariaPressed, one.innerText]"
    )
    assert browser.run(pressed) == ["true", "Pause updates"]


def test_a_screen_reader_is_told_seldom(browser: Chromium, api: Api):
    api.progress = progress()
    opened(browser, api)
    first = shown(browser, state="Running", status="Running: 304 of 1,000")["status"]
    api.progress = progress(state="waiting", waiting_until="2999-01-01T00:00:00.000Z")
    assert shown(browser, state="Waiting")["status"] == first
    api.instance = {"state": "success", "try_number": 1}
    shown(browser, status="Succeeded")


def test_nothing_is_cut_off_on_a_phone(browser: Chromium, api: Api):
    api.progress = progress(reasons=[{"reason": "x" * 300, "rows": 4}], error="y" * 300)
    opened(browser, api)
    shown(browser, state="Running", reasons="x" * 300)
    for theme in ("light", "dark"):
        browser.show(theme, 390)
        wait_until(lambda: browser.run(OVERFLOW) <= 0, "fits the width")
