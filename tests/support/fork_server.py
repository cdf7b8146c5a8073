"""A process that has loaded the service once and forks for each process that a test starts: loading takes 2 s of CPU.

It has one thread and no event loop, and makes nothing of a service. It reads requests from the socket whose descriptor
is its argument: JSON and two descriptors, the log of the new process, and a socket that tells the id of the new process
and later its exit code.
"""

import ctypes
import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from datetime import timedelta
from importlib import import_module
from typing import TypedDict

NOT_LOADED = ("app.cli", "app.telemetry.exported", "app.telemetry.otlp")
"""The command line, and what reads variables of OpenTelemetry when it is imported."""

ALSO = ("aioboto3", "aiokafka", "aiosqlite", "alembic.command", "asyncpg", "uvloop")
LONGEST = 65536
"""Bytes of the longest request."""

PR_SET_PDEATHSIG = 1


class Request(TypedDict):
    """`directory` is where the process runs; `settings` are more variables of its environment; `constants` are other
    values of constants of the service, by `module:name`."""

    arguments: list[str]
    directory: str
    settings: dict[str, str]
    constants: dict[str, float]


def load() -> None:
    import app

    for each in pkgutil.walk_packages(app.__path__, "app."):
        if not each.name.startswith(NOT_LOADED):
            import_module(each.name)
    for name in ALSO:
        import_module(name)
    gc.collect()
    gc.freeze()  # the processes share what is not touched
    assert len(os.listdir("/proc/self/task")) == 1, "a thread would be missing in the forked processes"  # noqa: PTH208


def serve(requests: socket.socket) -> list[str] | None:
    """Returns in each new process, with its arguments; and None in this one, once nobody asks any more."""
    selector = selectors.DefaultSelector()
    selector.register(requests, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is not requests:
                _report(key, selector)
                continue
            message, descriptors, _, _ = socket.recv_fds(requests, LONGEST, 2)
            if not message:
                return None
            log, control = descriptors[0], socket.socket(fileno=descriptors[1])
            pid = os.fork()
            if pid == 0:
                control.close()
                for other in list(selector.get_map().values()):
                    _close(other)
                selector.close()
                return _become(json.loads(message), log)
            os.close(log)
            control.sendall(b"%d\n" % pid)
            selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, control))


def _report(key: selectors.SelectorKey, selector: selectors.BaseSelector) -> None:
    pid, control = key.data
    _, status = os.waitpid(pid, 0)
    selector.unregister(key.fileobj)
    try:
        control.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
    except OSError:
        pass  # nobody waits for it any more
    finally:
        _close(key)


def _close(key: selectors.SelectorKey) -> None:
    if isinstance(key.fileobj, int):
        os.close(key.fileobj)
        key.data[1].close()
    else:
        key.fileobj.close()  # type: ignore[attr-defined]


def _become(request: Request, log: int) -> list[str]:
    """Makes this process what `ServerProcess` would have started."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.chdir(request["directory"])
    os.environ.update(request["settings"])
    for constant, value in request["constants"].items():
        module, _, name = constant.partition(":")
        usual = getattr(import_module(module), name)
        setattr(import_module(module), name, timedelta(seconds=value) if isinstance(usual, timedelta) else value)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
    # `python -m app`: what it spawns looks here for what it has to load itself
    sys.modules["__main__"] = import_module("app.__main__")
    return request["arguments"]


def main() -> int:
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        load()
        arguments = serve(requests)
    if arguments is None:
        return 0
    program = import_module("app.__main__")
    sys.argv = [str(program.__file__), *arguments]
    return int(program.main())


if __name__ == "__main__":
    sys.exit(main())
