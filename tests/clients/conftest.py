"""Starts a real aivonxd in front of fake nodes; the clients are the ones people use, unmodified.

Run after `cargo build --workspace`: `pytest tests/clients`. AIVONX_TARGET names the folder of the binaries
if it is not target/debug.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(
    os.environ.get("AIVONX_TARGET")
    or pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug"
)
PATIENCE = 60


def start(arguments, pattern, **options):
    """Starts a process and waits for the line that tells its address."""
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, **options)
    seen = []
    for line in process.stdout:
        seen.append(line)
        found = re.search(pattern, line)
        if found:
            return process, found.group(1)
    raise RuntimeError(f"{arguments} ended with {process.wait()}: {''.join(seen)}")


def get(url):
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


def until(what, condition):
    """Waits for a condition, failing the test if it never comes about."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {PATIENCE} s")


class Gateway:
    """The daemon, its command line and its nodes."""

    def __init__(self, folder, nodes, *options):
        self.processes = []
        self.nodes = []
        for arguments in nodes:
            process, url = start([TARGET / "fake-node", *arguments], r"listening on (\S+)")
            self.processes.append(process)
            self.nodes.append(url)
        arguments = [TARGET / "aivonxd", "dev", "--dir", folder / "data", "--listen", "127.0.0.1:0", *options]
        for url in self.nodes:
            arguments += ["--node", url]
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        log = open(folder / "stderr", "w")
        process, address = start(
            arguments, r"listen\w*.*?(127\.0\.0\.1:\d+)", env=environment, stderr=log
        )
        self.processes.append(process)
        self.url = f"http://{address}"
        self.socket = folder / "data" / "control.sock"
        wanted = len(nodes) + options.count("--node")
        until("active nodes", lambda: sum(n["pool"] == "active" for n in self.list()) == wanted)

    def aivonx(self, *arguments):
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "AIVONX_SOCKET": str(self.socket)}
        done = subprocess.run(
            [TARGET / "aivonx", *arguments, "--output", "json"],
            env=environment, capture_output=True, text=True, timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def list(self):
        return self.aivonx("node", "list")

    def sent(self, node):
        """What a fake node was sent, without health checks."""
        quiet = {"/api/tags", "/api/version", "/api/ps", "/v1/models", "/", "/health", "/__fake/requests"}
        return [r for r in get(self.nodes[node] + "/__fake/requests") if r["target"] not in quiet]

    def until_idle(self):
        until("active counts at zero", lambda: all(n["active_requests"] == 0 for n in self.list()))

    def until_left(self, node, before):
        """Waits until the node noticed one more departure than `before`."""
        def left():
            return sum(r["end"] == "gone" for r in self.sent(node)) > before
        until("the node to notice that the client left", left)
        self.until_idle()

    def stop(self):
        for process in reversed(self.processes):
            process.kill()
            process.wait()


def serve(folder, nodes, *options):
    gateway = Gateway(folder, nodes, *options)
    yield gateway
    gateway.stop()
    sys.stderr.write((folder / "stderr").read_text()[-4000:])


@pytest.fixture(scope="session")
def gateway(tmp_path_factory):
    yield from serve(
        tmp_path_factory.mktemp("gateway"),
        (
            ["--model", "llama3.2:latest", "--model", "shared:latest"],
            ["--model", "shared:latest", "--model", "qwen3:8b", "--delay-ms", "2"],
            ["--kind", "openai", "--model", "Exact/Name"],
        ),
    )


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """A gateway that wants a key, with a tenant; its node takes its time between tokens."""
    nodes = (["--model", "llama3.2:latest", "--delay-ms", "50"],)
    for gateway in serve(tmp_path_factory.mktemp("guarded"), nodes, "--access", "required"):
        gateway.aivonx("org", "add", "acme")
        yield gateway


SAID = "Hello, w\u00f6rld \U0001f600 <b>&!"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
