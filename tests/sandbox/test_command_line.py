from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from airflow_provider_moengage.sandbox import SandboxNotStarted, running_sandbox, warehouse
from tests.sandbox.conftest import Api
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "airflow_provider_moengage.sandbox"]


@contextmanager
def started(*flags: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Start the command line, and give it with its first two lines."""
    pipe = subprocess.PIPE
    with subprocess.Popen([*COMMAND, *flags], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        try:
            assert child.stdout is not None
            yield child, [child.stdout.readline().rstrip("\n") for _ in range(2)]
        finally:
            child.kill()


def test_the_first_lines_say_where_it_is_and_how_to_connect() -> None:
    with started("--port", "0", "--workspace-id", "W", "--api-key", "K") as (_, [first, second]):
        url = first.removeprefix("MoEngage sandbox at ").removesuffix(" (workspace W)")
        port = int(url.removeprefix("http://127.0.0.1:"))
        assert second == (
            'export AIRFLOW_CONN_MOENGAGE_DEFAULT=\'{"conn_type":"moengage","host":"http://127.0.0.1",'
            f'"port":{port},"login":"W","password":"K"}}\''
        )
        assert requests.get(url + "/_sandbox/state", timeout=5).json()["workspace_id"] == "W"


def exported(lines: list[str]) -> dict[str, dict[str, object]]:
    """Return the connections that a shell hands to its programs after these lines were pasted into it."""
    lines = [
        *lines,
        f"""{shlex.quote(sys.executable)} -c 'import json, os; print(json.dumps(dict(os.environ)))'""",
    ]
    environment = json.loads(subprocess.check_output(["bash", "-c", "\n".join(lines)], text=True))
    prefix = "AIRFLOW_CONN_"
    return {
        name.removeprefix(prefix): json.loads(value)
        for name, value in environment.items()
        if name.startswith(prefix)
    }


def test_the_lines_can_be_pasted_into_a_shell_whatever_they_hold(tmp_path: Path) -> None:
    folder = tmp_path / """it's "100%" #1; $HOME `x` ünï"""
    folder.mkdir()
    path = str(folder / "shop.db")
    with started("--port", "0", "--with-warehouse", path, "--api-key", "K'$1\"") as (child, [first, second]):
        assert child.stdout is not None
        lines = [child.stdout.readline().rstrip("\n") for _ in range(2)]
        port = int(first.split()[3].rpartition(":")[2])
        assert second == f"Warehouse at {path} (created)"
        assert exported(lines) == {
            "MOENGAGE_DEFAULT": {
                "conn_type": "moengage",
                "host": "http://127.0.0.1",
                "port": port,
                "login": "SANDBOX_WORKSPACE",
                "password": "K'$1\"",
            },
            "WAREHOUSE": warehouse.connection(path),
        }


def test_a_warehouse_is_kept_by_the_next_sandbox(tmp_path: Path) -> None:
    for outcome in ("created", "kept unchanged"):
        with started("--port", "0", "--with-warehouse", str(tmp_path / "shop.db")) as (_, [_, second]):
            assert second == f"Warehouse at {tmp_path}/shop.db ({outcome})"


def test_a_warehouse_that_would_overwrite_something_is_said_in_one_line(tmp_path: Path) -> None:
    other = tmp_path / "shop.db"
    other.write_text("somebody's")
    command = [*COMMAND, "--port", "0", "--with-warehouse", str(other)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert str(other) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert other.read_text() == "somebody's"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_promptly_and_quietly_with_a_call_under_way(number: signal.Signals) -> None:
    with started("--port", "0", "--latency-seconds", "30") as (child, [first, _]):
        path = "/v1/customer/SANDBOX_WORKSPACE"
        login = ("SANDBOX_WORKSPACE", "SANDBOX_KEY")
        with pytest.raises(requests.ReadTimeout):
            requests.post(first.split()[3] + path, json={}, auth=login, timeout=0.2)
        child.send_signal(number)
        # Long before the call under way would have ended.
        _, errors = child.communicate(timeout=20)
        assert errors == ""


def test_it_stops_when_standard_input_ends() -> None:
    with started("--port", "0", "--exit-with-stdin") as (child, _):
        assert child.poll() is None
        _, errors = child.communicate(timeout=20)
        assert (child.returncode, errors) == (0, "")


def test_it_outlives_the_end_of_standard_input_unless_told() -> None:
    with started("--port", "0") as (child, [first, _]):
        assert child.stdin is not None
        child.stdin.close()
        time.sleep(0.4)
        assert requests.get(first.split()[3] + "/_sandbox/state", timeout=5).status_code == 200


def test_it_logs_requests_only_when_verbose() -> None:
    for flags, logged in (((), False), (("--verbose",), True)):
        with started("--port", "0", "--exit-with-stdin", *flags) as (child, [first, _]):
            requests.get(first.split()[3] + "/_sandbox/state", timeout=5)
            output, errors = child.communicate(timeout=5)
            assert ("/_sandbox/state" in output) is logged
            assert bool(errors) is logged


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_setting_that_cannot_be_is_a_usage_error() -> None:
    ended = subprocess.run([*COMMAND, "--window-seconds", "0"], capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert "window_seconds is above 0" in ended.stderr


def test_help_names_every_setting() -> None:
    help_ = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=20).stdout
    for flag in ("--users-per-minute", "--no-unset-attributes", "--allowed-ips", "--limit-style"):
        assert flag in help_
    # Once for each, whatever argparse adds of its own.
    assert " ".join(help_.split()).count("(default: 30000)") == 2
    assert "SUPPRESS" not in help_


def test_every_setting_is_an_option_of_running_sandbox() -> None:
    options = {
        "users_per_minute": 5,
        "window_seconds": 1.5,
        "limit_style": "comma",
        "object_attributes": True,
        "unset_attributes": False,
        "allowed_ips": ["198.51.100.7", "203.0.113.9"],
        "seed": 3,
    }
    with running_sandbox(workspace_id="W 1", api_key="K:2/@", **options) as sandbox:
        assert options.items() <= sandbox.settings().items()
        sandbox.settings(users_per_minute=9)
        sandbox.reset()
        assert sandbox.settings()["users_per_minute"] == 5
        assert sandbox.connection["login"] == "W 1"
        assert sandbox.connection_uri == f"moengage://W%201:K%3A2%2F%40@127.0.0.1:{sandbox.port}"


def test_answers_come_without_delay_on_a_connection_that_is_kept() -> None:
    # An answer in two packets takes 40 ms where Nagle's algorithm is on.
    with running_sandbox(http="httptools") as sandbox:
        api = Api(sandbox)
        api.track()
        seconds = []
        for _ in range(50):
            started_at = time.monotonic()
            api.track()
            seconds.append(time.monotonic() - started_at)
        # Nearly all would be late; on a busy machine only some are.
        assert statistics.median(seconds) < 0.03


def test_a_sandbox_leaves_no_process_behind() -> None:
    with running_sandbox() as sandbox:
        assert sandbox.state()["users"] == 0
    with pytest.raises(ConnectionRefusedError):
        sandbox.state()


def test_a_sandbox_ends_with_a_parent_that_is_killed() -> None:
    code = (
        "import time\n"
        "from airflow_provider_moengage.sandbox import running_sandbox\n"
        "with running_sandbox() as sandbox:\n"
        "    print(sandbox.url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        os.kill(parent.pid, signal.SIGKILL)

    def has_ended() -> bool:
        try:
            requests.get(url, timeout=20)
        except requests.ConnectionError:
            return True
        return False

    wait_until(has_ended, "the sandbox has ended")


def test_a_sandbox_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(SandboxNotStarted, match="window_seconds is above 0"),
        running_sandbox(window_seconds=0),
    ):
        pass
