"""Programs that are no packages: curl, nginx in front, Java's own HTTP client, a browser, and the packages of npm."""

import http.server
import json
import os
import pathlib
import queue
import shutil
import socket
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, SAID, get, until

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
CHAT = json.dumps({"model": "llama3.2", "messages": ASK, "stream": False})


def program(name):
    found = shutil.which(name)
    return found or pytest.skip(f"{name} is not installed")


def run(*arguments, **options):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, **options)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.mark.parametrize("options", [
    [], ["--http2"], ["--http1.0"], ["--http2-prior-knowledge"], ["--compressed"], ["-H", "Expect: 100-continue"],
    ["-H", "Transfer-Encoding: chunked"],
])
def test_curl(gateway, options):
    answer = run(program("curl"), "-sS", *options, gateway.url + "/api/chat", "-d", CHAT)
    assert json.loads(answer)["message"]["content"] == SAID
    lines = run(program("curl"), "-sSN", *options, gateway.url + "/api/chat", "-d", CHAT.replace("false", "true"))
    assert "".join(json.loads(line)["message"]["content"] for line in lines.splitlines()) == SAID


def test_nginx_in_front(gateway, tmp_path):
    """Its defaults, but for the address: what it buffers and asks for is its own choice."""
    nginx = program("nginx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    upstream = gateway.url.removeprefix("http://")
    (tmp_path / "nginx.conf").write_text(f"""
        daemon off; pid {tmp_path}/pid; error_log {tmp_path}/error; events {{}}
        http {{
            access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;
            fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
            server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; }} }}
        }}""")
    process = subprocess.Popen([nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        def answers():
            assert process.poll() is None, (tmp_path / "error").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0
        until("nginx to listen", answers)
        ollama = pytest.importorskip("ollama")
        client = ollama.Client(f"http://127.0.0.1:{port}")
        # Its host is the upstream's name, which the gateway listens on.
        assert client.chat("llama3.2", ASK).message.content == SAID
        began = time.monotonic()
        times = [(time.monotonic() - began, part.message.content)
                 for part in client.chat("qwen3:8b", ASK, stream=True)]
        assert "".join(text for _, text in times) == SAID
        assert len({round(at, 3) for at, _ in times}) > 2, "it comes piece by piece"
    finally:
        process.terminate()
        process.wait()


JAVA = """
import java.net.URI;
import java.net.http.*;

public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
        HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(answer.statusCode());
        System.out.println(answer.body());
    }
}
"""


def test_java(gateway, tmp_path):
    """It offers HTTP/2 with every request."""
    java = program("java")
    source = tmp_path / "Client.java"
    source.write_text(JAVA)
    done = subprocess.run([java, str(source), gateway.url + "/api/chat", CHAT], capture_output=True, timeout=PATIENCE)
    if b"compiler" in done.stderr and done.returncode != 0:
        pytest.skip("there is a JRE, and no JDK")
    assert done.returncode == 0, done.stderr.decode()
    status, body = done.stdout.decode().split("\n", 1)
    assert (status, json.loads(body)["message"]["content"]) == ("200", SAID)


NODE = """
import { Ollama } from 'ollama';
import OpenAI from 'openai';
import Anthropic from '@anthropic-ai/sdk';
import { generateText, streamText } from 'ai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
const url = process.argv[2];
const messages = [{ role: 'user', content: 'Why is the sky blue?' }];
const said = [];
const ollama = new Ollama({ host: url });
said.push((await ollama.chat({ model: 'llama3.2', messages })).message.content);
let text = '';
for await (const part of await ollama.chat({ model: 'llama3.2', messages, stream: true })) text += part.message.content;
said.push(text);
for (const model of ['llama3.2', 'Exact/Name']) {
  const openai = new OpenAI({ baseURL: url + '/v1', apiKey: 'any', maxRetries: 0 });
  said.push((await openai.chat.completions.create({ model, messages })).choices[0].message.content);
  text = '';
  for await (const chunk of await openai.chat.completions.create({ model, messages, stream: true }))
    text += chunk.choices[0]?.delta?.content ?? '';
  said.push(text);
  const anthropic = new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0 });
  said.push((await anthropic.messages.create({ model, messages, max_tokens: 50 })).content[0].text);
  said.push(await anthropic.messages.stream({ model, messages, max_tokens: 50 }).finalText());
  const provider = createOpenAICompatible({ name: 'here', baseURL: url + '/v1', apiKey: 'any' });
  said.push((await generateText({ model: provider(model), messages, maxRetries: 0 })).text);
  said.push(await streamText({ model: provider(model), messages, maxRetries: 0 }).text);
}
console.log(JSON.stringify(said));
"""


def test_npm(gateway, tmp_path):
    """AIVONX_NPM names a folder in which the packages of package.json are installed."""
    node = program("node")
    folder = os.environ.get("AIVONX_NPM")
    if not folder:
        pytest.skip("AIVONX_NPM is not set: npm install --prefix DIR, with tests/clients/package.json there")
    script = pathlib.Path(folder) / f"client-{tmp_path.name}.mjs"
    script.write_text(NODE)
    try:
        assert json.loads(run(node, str(script), gateway.url)) == [SAID] * 14
    finally:
        script.unlink()


PAGE = """<!doctype html><meta charset=utf-8><script>
async function all() {
  const url = new URLSearchParams(location.search).get('gateway');
  const models = (await (await fetch(url + '/api/tags')).json()).models.length;
  const chat = stream => fetch(url + '/v1/chat/completions', {
    method: 'POST',
    // Neither is what a page may send to elsewhere without asking first.
    headers: { 'Content-Type': 'application/json', Authorization: 'Bearer any' },
    body: JSON.stringify({ model: 'qwen3:8b', stream, messages: [{ role: 'user', content: 'Why?' }] }),
  });
  const whole = (await (await chat(false)).json()).choices[0].message.content;
  const reader = (await chat(true)).body.getReader(), decoder = new TextDecoder();
  let text = '', reads = 0;
  for (let part; !(part = await reader.read()).done; reads++) text += decoder.decode(part.value, { stream: true });
  const events = text.split('\\n\\n').filter(event => event.startsWith('data: {'));
  const streamed = events.map(event => JSON.parse(event.slice(6)).choices[0]?.delta?.content ?? '').join('');
  return { models, whole, streamed, reads };
}
all().catch(error => ({ error: String(error) }))
  .then(result => fetch('/', { method: 'POST', body: JSON.stringify(result) }));
</script>"""


def test_curl_has_the_answer_to_what_it_still_sends(gateway, tmp_path):
    """Over HTTP/2 a refusal comes before the end of the body, and is shown all the same."""
    body = tmp_path / "body"
    body.write_bytes(bytes(4 << 20))
    shown = run(program("curl"), "-sS", "--http2-prior-knowledge", "-o", os.devnull, "-w", "%{http_code}",
                "--data-binary", f"@{body}", f"{gateway.url}/nope")
    assert shown == "404"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_page_in_a_browser(gateway, tmp_path, host):
    """A page of another origin reads lists, answers and, piece by piece, streams."""
    browser = shutil.which("chromium-headless-shell") or program("chromium")
    results = queue.Queue()

    class Pages(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def answer(self, body):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(PAGE.encode())

        def do_POST(self):
            results.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.answer(b"")

    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    page = f"http://{host}:{pages.server_port}/?gateway={gateway.url}"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    # Open for a debugger, or it would not wait for what the page asks for.
    options += [f"--user-data-dir={tmp_path}", "--remote-debugging-port=0"]
    process = subprocess.Popen([browser, *options, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        result = results.get(timeout=PATIENCE)
        reads = result.pop("reads", 0)
        models = len(get(gateway.url + "/api/tags")["models"])
        assert result == {"models": models, "whole": SAID, "streamed": SAID}
        assert reads > 2, "it comes piece by piece"
    finally:
        process.kill()
        process.wait()
        pages.shutdown()
        pages.server_close()
