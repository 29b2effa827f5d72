"""
Takes the pictures of the documentation: ``python -m faults.pictures``.

Under a real ``airflow standalone`` (3.3 or newer) and in a real Chromium: the form of a connection, the live page of a sync
that waits for its rate window, and its report.
"""

from __future__ import annotations

import base64
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow_provider_moengage.sandbox.client import running_sandbox
from faults.chromium import Chromium, has_chromium, running_chromium
from faults.findings import say, step
from faults.live_page import READ_TAB
from faults.palette import to_png
from faults.real_airflow import ROOT, RealAirflow, running_airflow
from faults.warehouse import Warehouse

DAGS = Path(__file__).resolve().parent / "picture_dags"
DAG_ID, TASK_ID = "customers_to_moengage", "push_customers"
FOLDER = ROOT / "docs" / "assets" / "pictures"
#: Users, and how many of them are done when the page is to run and to wait: two windows and a half, of 10,000 a minute.
USERS, RUNNING, WAITING = 25_000, 14_000, 20_000
#: Pixels. Airflow's tabs fit into one line of the tab's picture; the whole page is higher than its size here.
TAB, PAGE, PHONE, FORM = (1440, 900), (1080, 600), (390, 844), (1280, 1100)
#: Seconds: until the page shows what it has read, and time-outs of the UI and of the run.
SETTLED, IN_UI, IN_RUN = 3.0, 20.0, 400.0

DIALOG = "document.querySelector('[role=dialog]')"
READ_PAGE = """
const shown = (id) => document.getElementById(id)?.innerText ?? "";
return {state: shown("state"), share: shown("share"), report: shown("report")};
"""
#: Draws a PNG, and returns its width and its pixels.
READ_PIXELS = """
const image = new Image();
image.src = "data:image/png;base64," + arguments[0];
return image.decode().then(() => {
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const pixels = canvas.getImageData(0, 0, image.width, image.height).data;
  let text = "";
  for (let from = 0; from < pixels.length; from += 8192) text += String.fromCharCode(...pixels.subarray(from, from + 8192));
  return [image.width, btoa(text)];
});
"""


class NotSeen(RuntimeError):
    """The UI or the run did not come to what a picture is to show; the message says what."""


def main() -> int:
    if not has_chromium():
        say(
            "There is no Chromium with its driver, which takes the pictures (on Debian: chromium, chromium-driver)."
        )
        return 1
    # On SIGTERM, end all child processes too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="pictures-") as name, running_sandbox() as sandbox:
        folder = Path(name)
        warehouse = Warehouse(folder / "warehouse.db")
        warehouse.make_customers(USERS)
        variables = {
            "PICTURES_STAGING": (folder / "staging").as_uri(),
            "AIRFLOW_CONN_MOENGAGE_DEFAULT": sandbox.connection_json,
            "AIRFLOW_CONN_WAREHOUSE": json.dumps({"conn_type": "sqlite", "host": str(warehouse.path)}),
        }
        step("Starting airflow standalone and a sandbox")
        with running_airflow(DAGS, [DAG_ID], variables) as airflow, running_chromium() as browser:
            # Signs in, as this Airflow needs no password.
            browser.open(airflow.url)
            step("The form of a connection")
            take_form(browser, airflow, folder)
            step("A sync, which takes about two and a half minutes")
            take_sync(browser, airflow, folder)
            step("In the end")
            FOLDER.mkdir(parents=True, exist_ok=True)
            for taken in sorted(folder.glob("*.png")):
                browser.open("about:blank")
                reduced = FOLDER / taken.name
                reduced.write_bytes(reduce(browser, taken.read_bytes()))
                say(f"{reduced.relative_to(ROOT)}: {reduced.stat().st_size / 1000:.0f} kB")
    return 0


def take_form(browser: Chromium, airflow: RealAirflow, folder: Path) -> None:
    """Fill in the form, whose sections are unfolded one at a time."""

    def field(name: str) -> str:
        return f"{DIALOG}.querySelector('input[name={name}]')"

    def button(text: str, within: str = "document") -> str:
        return f"[...{within}.querySelectorAll('button')].find((one) => one.innerText.startsWith('{text}'))"

    def choice(number: int) -> str:
        return f"{DIALOG}.querySelectorAll('[role=combobox]')[{number}]"

    def choose(number: int, text: str) -> None:
        browser.type(choice(number), text)
        time.sleep(1)
        browser.press_enter()

    browser.show("light", *FORM)
    browser.open(f"{airflow.url}/connections")
    click(browser, button("Add Connection"))
    wait_for(browser, field("connection_id"))
    browser.type(field("connection_id"), "moengage_default")
    choose(0, "MoEngage")
    wait_for(browser, field("login"))
    for name, text in (("login", "YOUR_WORKSPACE_ID"), ("password", "x" * 24), ("port", "443")):
        browser.type(field(name), text)
    take_dialog(browser, folder / "connection-form.png")
    click(browser, button("Data centre", DIALOG))
    wait_for(browser, choice(1))
    time.sleep(1)
    choose(1, "India")
    take_dialog(browser, folder / "connection-data-centre.png")


def take_dialog(browser: Chromium, file: Path) -> None:
    browser.run("document.activeElement.blur()")
    # What unfolds and fades is at rest.
    time.sleep(1)
    browser.picture(file, of=browser.box(DIALOG))


def take_sync(browser: Chromium, airflow: RealAirflow, folder: Path) -> None:
    """Take the tab while the sync runs, the page while it waits, and the report."""
    task = airflow.start_run(DAG_ID, TASK_ID, users=USERS)
    run = quote(task.run_id, safe="")
    browser.show("light", *TAB)
    browser.open(f"{airflow.url}/dags/{DAG_ID}/runs/{run}/tasks/{TASK_ID}/plugin/moengage_sync")
    wait_until(lambda: is_at(browser.run(READ_TAB), "Running", RUNNING), IN_RUN, f"{RUNNING} rows are done")
    browser.picture(folder / "live-page.png", whole=False)
    # The page keeps what it has drawn as long as the browser's tab.
    browser.open(f"{airflow.url}/moengage/sync/{DAG_ID}/{run}/{TASK_ID}?map_index=-1")
    what = f"the sync waits after {WAITING} rows; is this machine too busy for 10,000 a minute?"
    wait_until(lambda: is_at(browser.run(READ_PAGE), "Waiting", WAITING), IN_RUN, what)
    for name, theme, size in (("dark", "dark", PAGE), ("phone", "light", PHONE)):
        browser.show(theme, *size)
        time.sleep(SETTLED)
        browser.picture(folder / f"live-page-{name}.png", whole=name == "dark")
    browser.show("light", *PAGE)
    wait_until(lambda: browser.run(READ_PAGE)["report"], IN_RUN, "the report")
    time.sleep(SETTLED)
    browser.picture(folder / "report.png")


def is_at(shown: dict[str, Any] | None, state: str, done: int) -> bool:
    """Whether a page shows a state, and at least so many rows that are done."""
    if shown is None or shown["state"] != state:
        return False
    return int(shown["share"].partition(" ")[0].replace(",", "") or 0) >= done


def click(browser: Chromium, element: str) -> None:
    wait_for(browser, element)
    browser.click(element)


def wait_for(browser: Chromium, element: str) -> None:
    wait_until(lambda: browser.run(f"return Boolean({element})"), IN_UI, element)


def wait_until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """
    Wait until something holds.

    :param what: names it, for the error.
    :raises NotSeen: it does not within these seconds.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotSeen(f"not seen within {seconds:.0f} s: {what}")
        time.sleep(0.5)


def reduce(browser: Chromium, png: bytes) -> bytes:
    """Return a picture with a palette."""
    width, pixels = browser.run(READ_PIXELS, base64.b64encode(png).decode())
    return to_png(base64.b64decode(pixels), width)


if __name__ == "__main__":
    sys.exit(main())
