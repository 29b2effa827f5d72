"""The live page of a sync under a real Airflow, in a real Chromium."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from faults.chromium import Chromium, has_chromium, running_chromium
from faults.findings import Findings, say
from faults.real_airflow import ENDED, TaskOfRun
from faults.watching import AT_MOST, Setup

#: Users, units of a window and its seconds: the run is deferred four times.
USERS, UNITS, WINDOW_SECONDS = 5_000, 1_000, 15.0
PHONE, DESKTOP = 390, 1280
#: Seconds: the page reads every two, and every ten once the task has ended.
BETWEEN_LOOKS, UNTIL_READ = 0.5, 15.0
#: Set to a folder that is to keep the pictures.
PICTURES = "LIVE_PAGE_PICTURES"
#: Reads the page where Airflow's UI shows it: in a frame of the same origin.
READ_TAB = """
const frame = [...document.querySelectorAll("iframe")].find((one) => one.src.includes("/moengage/sync/"));
const page = frame && frame.contentDocument;
if (!page || !page.getElementById("state")) return null;
const seen = (id) => page.getElementById(id).checkVisibility() ? page.getElementById(id).innerText : "";
return {state: seen("state"), share: seen("share"), notice: seen("notice"), reasons: seen("reasons"), report: seen("report")};
"""
OVERFLOW = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def live(setup: Setup, findings: Findings) -> None:
    """A throttled sync is looked at in its tab: it moves, goes on after deferrals, and ends with the report."""
    if not has_chromium():
        say("skipped: there is no Chromium with its driver (on Debian: chromium, chromium-driver)")
        return
    setup.sandbox.settings(users_per_minute=UNITS, window_seconds=WINDOW_SECONDS)
    task = setup.airflow.start_run("live", users=USERS)
    run = quote(task.run_id, safe="")
    page = f"{setup.airflow.url}/moengage/sync/live/{run}/push?map_index=-1"
    with running_chromium() as browser, _pictures() as folder:
        browser.show("light", DESKTOP)
        # Signs in, as this Airflow needs no password.
        browser.open(setup.airflow.url)
        browser.open(f"{setup.airflow.url}/dags/live/runs/{run}/tasks/push/plugin/moengage_sync")
        seen = list(_looks(browser, task))
        browser.picture(folder / "tab.png", whole=False)
        _check_looks(findings, seen)
        browser.open(page)
        time.sleep(UNTIL_READ / 5)
        for theme in ("light", "dark"):
            for width in (DESKTOP, PHONE):
                browser.show(theme, width)
                time.sleep(BETWEEN_LOOKS)
                browser.picture(folder / f"{theme}-{width}.png")
                findings.expect(f"nothing is cut off at {width} pixels, {theme}", browser.run(OVERFLOW) <= 0)
        # Until the first progress is written, there is none.
        errors = [error for error in browser.errors() if not re.search(r"/progress\?.* 404 ", error)]
        findings.expect(f"the browser has logged no error {errors}", not errors)
    with requests.Session() as http:
        # Bypass a proxy of the environment.
        http.trust_env = False
        status = http.get(page, headers={"Authorization": "Bearer nobody"}, timeout=30).status_code
    findings.expect(f"a wrong credential is answered {status}", status == 403)


def _looks(browser: Chromium, task: TaskOfRun) -> Iterator[dict[str, Any]]:
    """Yield what the tab shows, each time it has changed, until it shows the report."""
    last, deadline, read_until = None, time.monotonic() + AT_MOST, float("inf")
    while time.monotonic() < min(deadline, read_until):
        shown = browser.run(READ_TAB)
        if shown is not None and shown != last:
            yield shown
            last = shown
        if shown is not None and shown["report"]:
            return
        if read_until == float("inf") and task.look().state in ENDED:
            read_until = time.monotonic() + UNTIL_READ
        time.sleep(BETWEEN_LOOKS)


def _check_looks(findings: Findings, seen: list[dict[str, Any]]) -> None:
    states = [look["state"] for look in seen]
    shares = [int(look["share"].split(" ")[0].replace(",", "")) for look in seen if look["share"]]
    say(f"states: {' '.join(dict.fromkeys(states))}; rows done: {list(dict.fromkeys(shares))}")
    findings.expect("the counts move, and only upwards", len(set(shares)) >= 4 and shares == sorted(shares))
    findings.expect(
        "the deferral is named, with its end", any("Deferred until" in one["notice"] for one in seen)
    )
    after = [share for state, share in zip(states[1:], shares[1:], strict=False) if state != "Deferred"]
    findings.expect(
        "it goes on after a deferral", "Deferred" in states and bool(after) and after[-1] == USERS
    )
    findings.expect(
        "the reasons are shown while it runs",
        any("photo" in one["reasons"] and "joined" in one["reasons"] for one in seen if not one["report"]),
    )
    findings.expect("no reason has a value of a row", not any("2026-13" in one["reasons"] for one in seen))
    last = seen[-1] if seen else {"state": "", "report": ""}
    findings.expect(
        f"it ends with the report ({last['state']})",
        last["state"] == "Succeeded" and "rows read" in last["report"],
    )


@contextmanager
def _pictures() -> Iterator[Path]:
    """The folder of the pictures: kept if the environment names one."""
    kept = os.environ.get(PICTURES)
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(prefix="live-page-") as folder:
        yield Path(folder)
