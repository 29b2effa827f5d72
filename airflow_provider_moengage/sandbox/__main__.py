"""The command line: ``moengage-sandbox``, or ``python -m airflow_provider_moengage.sandbox``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from airflow_provider_moengage.sandbox import warehouse
from airflow_provider_moengage.sandbox.settings import Settings, SettingsError

MISSING = "The MoEngage sandbox needs {missing}: pip install 'airflow-provider-moengage[sandbox]'"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sandbox until it is stopped."""
    parser = _parser()
    options = vars(parser.parse_args(arguments))
    host, port = options.pop("host"), options.pop("port")
    allow_host = options.pop("allow_host")
    workspace_id, api_key = options.pop("workspace_id"), options.pop("api_key")
    shop = options.pop("with_warehouse")
    http, verbose, with_stdin = options.pop("http"), options.pop("verbose"), options.pop("exit_with_stdin")
    try:
        settings = Settings().changed(options)
    except SettingsError as error:
        parser.error(str(error))
    try:
        from airflow_provider_moengage.sandbox import server
        from airflow_provider_moengage.sandbox.access import Hosts
        from airflow_provider_moengage.sandbox.workspace import Workspace
    except ModuleNotFoundError as error:
        print(MISSING.format(missing=error.name), file=sys.stderr)
        return 2
    try:
        shop_is_new = shop is not None and warehouse.provide(shop)
        listener = _listener(host, port)
    except warehouse.WarehouseError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"The MoEngage sandbox cannot listen on {host}:{port}: {error}", file=sys.stderr)
        return 1
    bound_address, bound_port = listener.getsockname()[:2]
    running = server.build(
        Workspace(workspace_id, api_key, settings),
        Hosts.of((host, bound_address), bound_port, allow_host),
        http=http,
        verbose=verbose,
        ready=lambda: _announce(host, bound_port, workspace_id, api_key, shop, shop_is_new),
    )
    if with_stdin:
        threading.Thread(target=_stop_with_stdin, args=(running,), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), listener:
        running.run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moengage-sandbox",
        description="A local MoEngage server over HTTP, for tests, demos and experiments.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8095, help="port to listen on; 0: any free port")
    parser.add_argument(
        "--allow-host",
        nargs="*",
        default=[],
        metavar="NAME",
        help="additional hosts that /_sandbox/ accepts, each with or without a port: NAME or NAME:PORT",
    )
    parser.add_argument("--workspace-id", default="SANDBOX_WORKSPACE", help="the Workspace ID: the login")
    parser.add_argument("--api-key", default="SANDBOX_KEY", help="the Data API key: the password")
    parser.add_argument(
        "--with-warehouse",
        metavar="PATH",
        help="create a shop's warehouse (a SQLite file) at PATH and print its connection; an existing one is kept",
    )
    parser.add_argument("--http", choices=("auto", "httptools", "h11"), default="auto", help="HTTP parser")
    parser.add_argument("--verbose", action="store_true", help="log every request")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop at the end of standard input")
    settings = parser.add_argument_group("settings", "can also be changed while the sandbox runs")
    for setting in fields(Settings):
        settings.add_argument(
            "--" + setting.name.replace("_", "-"), **_argument(setting.default, setting.metadata)
        )
    return parser


def _argument(default: Any, rule: Any) -> dict[str, Any]:
    # Suppressed, so that an option that was not given is not passed on.
    described = {
        "default": argparse.SUPPRESS,
        "help": f"{rule['help']} (default: {default})".replace("%", "%%"),
    }
    if isinstance(default, bool):
        return {**described, "action": argparse.BooleanOptionalAction}
    if isinstance(default, tuple):
        return {**described, "nargs": "*"}
    return {**described, "type": type(default), "choices": rule.get("choices")}


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the protocol is given; otherwise each response takes 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _announce(
    host: str, port: int, workspace_id: str, api_key: str, shop: str | None, shop_is_new: bool
) -> None:
    # 0.0.0.0 and :: are addresses to listen on, not to connect to.
    reachable = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    connection = {
        "conn_type": "moengage",
        "host": f"http://{reachable}",
        "port": port,
        "login": workspace_id,
        "password": api_key,
    }
    print(f"MoEngage sandbox at http://{reachable}:{port} (workspace {workspace_id})")
    if shop is not None:
        print(f"Warehouse at {os.path.abspath(shop)} ({'created' if shop_is_new else 'kept unchanged'})")
    print(_export("MOENGAGE_DEFAULT", connection))
    if shop is not None:
        print(_export("WAREHOUSE", warehouse.connection(shop)))
    sys.stdout.flush()


def _export(connection_id: str, connection: Mapping[str, Any]) -> str:
    """Return a shell command that defines a connection for the Airflow started from that shell."""
    compact = json.dumps(connection, separators=(",", ":"))
    return f"export AIRFLOW_CONN_{connection_id}={shlex.quote(compact)}"


def _stop_with_stdin(server: Any) -> None:
    # A killed parent cannot stop this process, but its end of the pipe closes.
    # Not sys.stdin: a thread that holds its lock makes the interpreter fail at exit.
    while os.read(0, 4096):
        pass
    server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
