"""Seconds to the first token over sockets: real traffic for twelve models through `aivonxd dev` to eight engines that
hold three models each, beside nginx with least_conn. The fleet bench in real time: one model takes 8 s to load, prompts
are prefilled one after the other, beginnings of prompts are cached.

    cargo build --workspace --bins --release
    tests/benches/fleet_real.py --trace conversation.jsonl [--seconds 200] [--rate 1.5] [--target target/release]

The trace is JSON lines with `input_length`, `output_length` and `hash_ids`, the prompt in blocks of 512 tokens. The engines
are made here: those of aivonx-sim work on each prompt by itself and cache none, which is what this is about.

Fails if aivonx loses a request, or its first tokens come later than behind nginx.
"""

import argparse
import asyncio
import collections
import contextlib
import hashlib
import json
import pathlib
import random
import re
import shutil
import socket
import sys
import tempfile
import time

NODES, MODELS, FIT, PLACES = 8, 12, 3, 16
LOAD, PREFILL, DECODE = 8.0, 7000.0, 60.0
CACHE = 800_000 // 512
# A block of 512 tokens, of four bytes each.
BLOCK = 2048
NANO = 1_000_000_000


class Engine:
    """Works like the engine of the fleet bench, and speaks enough of Ollama's API."""

    def __init__(self):
        self.waiting, self.running = collections.deque(), collections.Counter()
        self.memory, self.cache = [], collections.OrderedDict()
        self.changed = asyncio.Event()
        self.loads = self.cached = self.tokens = 0

    async def start(self):
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, limit=1 << 24)
        self.worker = asyncio.create_task(self.work())
        return server.sockets[0].getsockname()[1], server

    async def work(self):
        """Takes one request after the other, for which there is a place: loads its model and prefills its prompt."""
        while True:
            while not self.waiting or sum(self.running.values()) >= PLACES:
                await self.wait()
            model, blocks, done = self.waiting.popleft()
            load = 0.0
            if model not in self.memory:
                while len(self.memory) >= FIT and all(self.running[held] for held in self.memory):
                    await self.wait()
                if len(self.memory) >= FIT:
                    self.memory.remove(next(held for held in self.memory if not self.running[held]))
                await asyncio.sleep(LOAD)
                self.loads += 1
                load = LOAD
            else:
                self.memory.remove(model)
            self.memory.append(model)
            cached = self.look_up(model, blocks)
            prefill = (len(blocks) - cached) * 512 / PREFILL
            await asyncio.sleep(prefill)
            if blocks:
                self.running[model] += 1
            done.set_result((load, cached * 512, prefill))

    async def wait(self):
        self.changed.clear()
        await self.changed.wait()

    def look_up(self, model, blocks):
        keys = [(model, block) for block in blocks]
        cached = next((nth for nth, key in enumerate(keys) if key not in self.cache), len(keys))
        # The last token is always worked on.
        cached = min(cached, max(len(keys) - 1, 0))
        for key in keys:
            self.cache[key] = True
            self.cache.move_to_end(key)
        while len(self.cache) > CACHE:
            self.cache.popitem(last=False)
        self.cached += cached
        self.tokens += len(keys)
        return cached

    async def serve(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self.answer(head.split(b" ", 2)[1].decode(), body and json.loads(body), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, path, body, writer):
        names = [f"m{n}:latest" for n in range(MODELS)]
        listed = [{"name": name, "model": name, "size": 5 * NANO, "digest": f"{n:064x}"} for n, name in enumerate(names)]
        if path == "/api/version":
            return whole(writer, {"version": "0.14.2"})
        if path == "/api/tags":
            return whole(writer, {"models": listed})
        if path == "/api/ps":
            held = [model | {"size_vram": model["size"]} for model in listed if model["name"] in self.memory]
            return whole(writer, {"models": held})
        if path not in ("/api/chat", "/api/generate"):
            return whole(writer, {"error": "not found"}, "404 Not Found")
        model = body["model"] if ":" in body["model"] else body["model"] + ":latest"
        text = "".join(message["content"] for message in body.get("messages", []))
        chain, blocks = hashlib.sha256(), []
        for at in range(0, len(text), BLOCK):
            chain.update(text[at : at + BLOCK].encode())
            blocks.append(chain.digest()[:8])
        done = asyncio.get_running_loop().create_future()
        self.waiting.append((model, blocks, done))
        self.changed.set()
        load, cached, prefill = await done
        if not blocks:
            return whole(writer, {"model": model, "response": "", "done": True, "done_reason": "load"})
        output = body.get("options", {}).get("num_predict", 300)
        try:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk(writer, {"model": model, "message": {"role": "assistant", "content": "x"}, "done": False})
            await writer.drain()
            await asyncio.sleep(output / DECODE)
        finally:
            self.running[model] -= 1
            self.changed.set()
        counts = {"prompt_eval_count": len(text) // 4, "eval_count": output, "load_duration": int(load * NANO)}
        times = {"prompt_eval_duration": int(prefill * NANO), "eval_duration": int(output / DECODE * NANO)}
        last = {"model": model, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
        chunk(writer, last | counts | times)
        writer.write(b"0\r\n\r\n")


def whole(writer, value, status="200 OK"):
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)


def chunk(writer, value):
    line = json.dumps(value).encode() + b"\n"
    writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")


def prompt(line):
    text = "".join(f"{block:08x}" * (BLOCK // 8) for block in line["hash_ids"])
    return text[: max(4 * line["input_length"], 4)]


async def request(port, model, line):
    """Seconds to the first token; None if there was none."""
    messages = [{"role": "user", "content": prompt(line)}]
    body = json.dumps({"model": model, "messages": messages, "options": {"num_predict": line["output_length"]}}).encode()
    began = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        fields = f"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        head = f"POST /api/chat HTTP/1.1\r\n{fields}\r\n\r\n"
        writer.write(head.encode() + body)
        await reader.readuntil(b'"content"')
        first = time.monotonic() - began
        await reader.read()
        writer.close()
        return first
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        return None


@contextlib.asynccontextmanager
async def running(*command, **options):
    process = await asyncio.create_subprocess_exec(*command, **options)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def aivonx(folder, ports, target):
    nodes = [argument for port in ports for argument in ("--node", f"http://127.0.0.1:{port}")]
    arguments = ["dev", "--dir", f"{folder}/data", "--listen", "127.0.0.1:0", "--until-eof", *nodes]
    pipe = asyncio.subprocess.PIPE
    with open(pathlib.Path(folder, "log"), "wb") as log:
        async with running(target / "aivonxd", *arguments, stdin=pipe, stdout=pipe, stderr=log) as process:
            while line := await process.stdout.readline():
                if found := re.search(rb"http://127\.0\.0\.1:(\d+)", line):
                    break
            else:
                raise RuntimeError("aivonxd did not start")
            # What it says later is of no interest, and must not fill the pipe.
            drained = asyncio.create_task(process.stdout.read())
            yield int(found[1])
            drained.cancel()


@contextlib.asynccontextmanager
async def nginx(folder, ports, _):
    # It cannot have the kernel choose.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    servers = "".join(f"server 127.0.0.1:{port};" for port in ports)
    pathlib.Path(folder, "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/log; events {{ worker_connections 8192; }}"
        f"http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;"
        f"upstream engines {{ least_conn; {servers} }}"
        f"server {{ listen 127.0.0.1:{port}; client_max_body_size 64m; client_body_buffer_size 64m;"
        f"proxy_read_timeout 1h; proxy_buffering off;"
        f"location / {{ proxy_pass http://engines; }} }} }}"
    )
    async with running("nginx", "-c", f"{folder}/nginx.conf", "-p", folder):
        await asyncio.sleep(1)
        yield port


async def measure(name, start, lines, options):
    """The 50th and the 95th percentile, and how many requests were lost."""
    engines = [Engine() for _ in range(NODES)]
    served, sent = [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for engine in engines:
                served.append(await engine.start())
            async with start(folder, [port for port, _ in served], options.target) as port:
                times = await replay(port, lines, options, sent)
        finally:
            for task in sent:
                task.cancel()
            for engine, (_, server) in zip(engines, served):
                engine.worker.cancel()
                server.close()
    at = lambda share: times[int((len(times) - 1) * share)]
    loads, cached = sum(engine.loads for engine in engines), sum(engine.cached for engine in engines)
    tokens = max(sum(engine.tokens for engine in engines), 1)
    lost = sum(time == float("inf") for time in times)
    seconds = f"p50 {at(0.5):7.2f}  p95 {at(0.95):7.2f}"
    work = f"loads {loads:4}  cached {100 * cached // tokens:3} %  requests {len(times)}  lost {lost}"
    print(f"{name:<18} {seconds}  {work}", flush=True)
    return at(0.5), at(0.95), lost


async def replay(port, lines, options, sent):
    """Seconds to the first token of each request, in order; what has not begun a while after the last came counts as
    never."""
    chance, at = random.Random(7), 0.0
    began = time.monotonic()
    for line in lines:
        at += chance.expovariate(options.rate)
        if at > options.seconds:
            break
        await asyncio.sleep(max(began + at - time.monotonic(), 0))
        sent.append(asyncio.create_task(request(port, f"m{chance.randrange(MODELS)}", line)))
    if not sent:
        raise SystemExit("no request was sent: give a trace with more, or a higher --rate or --seconds")
    await asyncio.wait(sent, timeout=options.seconds)
    return sorted(task.result() if task.done() and task.result() else float("inf") for task in sent)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--rate", type=float, default=1.5)
    parser.add_argument("--target", type=pathlib.Path, default=pathlib.Path("target/release"))
    parser.add_argument("--only", choices=["aivonx", "nginx"])
    options = parser.parse_args()
    lines = [json.loads(line) for line in options.trace.read_text().splitlines()]
    print(f"twelve models, {options.rate} requests a second for {options.seconds:.0f} s; seconds to the first token")
    ours = other = None
    if options.only != "nginx":
        ours = await measure("aivonx", aivonx, lines, options)
    if options.only != "aivonx" and shutil.which("nginx"):
        other = await measure("nginx least_conn", nginx, lines, options)
    verdicts = {
        "aivonx loses no request": ours and ours[2] == 0,
        "p50 and p95 no worse than behind nginx": ours and other and ours[0] <= other[0] and ours[1] <= other[1],
    }
    for text, holds in verdicts.items():
        print(f"  {'not run ' if holds is None else 'pass    ' if holds else 'FAIL    '} {text}")
    return int(False in verdicts.values() or (ours or other) is None)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
