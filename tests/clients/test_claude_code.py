"""Claude Code, unmodified, on nodes that do not speak its API.

AIVONX_CLAUDE names a folder in which npm installed @anthropic-ai/claude-code; without it, this is skipped.
"""

import http.server
import json
import os
import pathlib
import subprocess
import threading

import pytest

from conftest import PATIENCE, SAID, Gateway


class Node(http.server.BaseHTTPRequestHandler):
    """Answers SAID. If the server names a file, the first answer is a call that reads it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, kind, body, status=200):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def json(self, value, status=200):
        self.answer("application/json", json.dumps(value).encode(), status)

    def none(self):
        self.json({"error": "not found"}, 404)

    def call(self):
        """Takes note of the chat that was sent; the arguments of a call if one is due."""
        chat = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.chats.append(chat)
        names = [tool["function"]["name"] for tool in chat.get("tools", [])]
        due = self.server.file and "Read" in names and all(m["role"] != "tool" for m in chat["messages"])
        return {"file_path": str(self.server.file)} if due else None


class OldOllama(Node):
    """Older than 0.14, which was the first to serve /v1/messages."""

    model = "old"
    lists = {
        "/api/version": {"version": "0.12.6"},
        "/api/tags": {"models": [{"name": "old:latest", "model": "old:latest", "digest": "a" * 64, "size": 1}]},
        "/api/ps": {"models": []},
    }

    def do_GET(self):
        self.json(self.lists[self.path]) if self.path in self.lists else self.none()

    def do_POST(self):
        if self.path == "/api/show":
            return self.json({"capabilities": ["completion", "tools"], "details": {}, "model_info": {}})
        if self.path != "/api/chat":
            return self.none()
        call = self.call()
        said = {"content": SAID}
        if call:
            said = {"content": "", "tool_calls": [{"function": {"name": "Read", "arguments": call}}]}
        head = {"model": "old", "created_at": "2026-05-01T00:00:00Z"}
        lines = [
            {**head, "message": {"role": "assistant", **said}, "done": False},
            {**head, "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop",
             "prompt_eval_count": 11, "eval_count": 6},
        ]
        self.answer("application/x-ndjson", b"".join(json.dumps(line).encode() + b"\n" for line in lines))


class Plain(Node):
    """A server of OpenAI's chat completions, and nothing else."""

    model = "Exact/Name"

    def do_GET(self):
        models = {"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": "me"}]}
        self.json(models) if self.path == "/v1/models" else self.none()

    def do_POST(self):
        if self.path != "/v1/chat/completions":
            return self.none()
        call = self.call()
        if call:
            text = json.dumps(call)
            function = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "Read", "arguments": ""}}
            pieces = [{"index": 0, "function": {"arguments": piece}} for piece in (text[:9], text[9:])]
            deltas = [{"role": "assistant", "tool_calls": [piece]} for piece in [function, *pieces]]
        else:
            deltas = [{"role": "assistant", "content": piece} for piece in (SAID[:5], SAID[5:])]
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self.model}
        chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls" if call else "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 6, "total_tokens": 17}
        chunks += [{**head, "choices": [end]}, {**head, "choices": [], "usage": usage}]
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self.answer("text/event-stream", "".join(events).encode())


@pytest.fixture(scope="module")
def program():
    folder = os.environ.get("AIVONX_CLAUDE")
    if not folder:
        pytest.skip("AIVONX_CLAUDE is not set: npm install --prefix DIR @anthropic-ai/claude-code")
    found = sorted(pathlib.Path(folder).glob("node_modules/@anthropic-ai/claude-code-*/claude"))
    return found[0] if found else pytest.skip(f"there is no program for this machine in {folder}")


@pytest.fixture(params=[OldOllama, Plain])
def node(request):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    server.chats, server.file = [], None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(program, node, folder, prompt):
    """What Claude Code prints, in a folder of its own and without a way to anywhere else."""
    gateway = Gateway(folder, [], "--node", f"http://127.0.0.1:{node.server_port}")
    (folder / "home").mkdir()
    (folder / "work").mkdir(exist_ok=True)
    nowhere = "http://127.0.0.1:9"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": str(folder),
        "ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_AUTH_TOKEN": "any",
        "ANTHROPIC_MODEL": node.RequestHandlerClass.model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1",
        "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "NO_PROXY": "127.0.0.1",
    }
    try:
        done = subprocess.run(
            [program, "--output-format", "json", "-p", prompt], cwd=folder / "work", env=environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)
    finally:
        gateway.stop()
        print((folder / "stderr").read_text())


def test_a_prompt(program, node, tmp_path):
    result = ask(program, node, tmp_path, "Why is the sky blue?")
    assert (result["result"], result["is_error"], result["num_turns"]) == (SAID, False, 1)
    assert result["usage"]["output_tokens"] == 6
    assert any("Why is the sky blue?" in json.dumps(chat["messages"]) for chat in node.chats)


def test_a_tool_call(program, node, tmp_path):
    node.file = tmp_path / "work" / "notes.txt"
    node.file.parent.mkdir()
    node.file.write_text("It rains in Paris.\n")
    result = ask(program, node, tmp_path, "What do the notes say?")
    assert (result["result"], result["is_error"], result["num_turns"]) == (SAID, False, 2)
    results = [m for m in node.chats[-1]["messages"] if m["role"] == "tool"]
    assert len(results) == 1 and "It rains in Paris." in json.dumps(results)
