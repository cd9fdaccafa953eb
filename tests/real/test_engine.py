"""A real llama.cpp behind the gateway, next to a node that speaks Ollama's API: what clients get through the gateway is
what they get from the engine.

AIVONX_MODEL names the GGUF file of a small model; without it, or without xllamacpp, this is skipped.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.request

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "clients"))

from conftest import PATIENCE, Gateway, until  # noqa: E402

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
ollama = pytest.importorskip("ollama")
pytest.importorskip("xllamacpp")
MODEL = os.environ.get("AIVONX_MODEL") or pytest.skip("AIVONX_MODEL is not set", allow_module_level=True)

ASK = [{"role": "user", "content": "Say three words about the sea."}]
# What is different in each answer of the engine, also without a gateway.
OWN = {"id", "created", "created_at", "completed_at", "item_id", "_request_id"}
# The same in bytes, and the times and paces in llama.cpp's `timings`.
OWN_TEXT = re.compile(rb'("(?:id|item_id)":)"[^"]*"')
OWN_NUMBER = re.compile(rb'("(?:created|created_at|completed_at|\w+_ms|\w+_per_second)":)[-+.\de]+')
SAMPLING = {"temperature": 0, "seed": 1, "cache_prompt": False}


class Engine:
    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        program = pathlib.Path(__file__).with_name("engine.py")
        self.process = subprocess.Popen(
            [sys.executable, program, MODEL, str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until("the engine to be up", self.answers)

    def answers(self):
        assert self.process.poll() is None, "the engine ended"
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def model(self):
        with urllib.request.urlopen(self.url + "/v1/models", timeout=5) as answer:
            return json.load(answer)["data"][0]["id"]

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def engine():
    engine = Engine()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, engine):
    folder = tmp_path_factory.mktemp("gateway")
    gateway = Gateway(folder, [["--model", "llama3.2:latest"]], "--node", engine.url)
    yield gateway
    gateway.stop()


def plain(value):
    """An answer without what differs anyway; of a time or a pace the type stays."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if isinstance(value, dict):
        measured = {key: type(inner) for key, inner in value.items() if key.endswith(("_ms", "_per_second"))}
        return {key: plain(inner) for key, inner in value.items() if key not in OWN} | measured
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def both(engine, gateway, make):
    """What `make` comes to at the engine itself, and through the gateway."""
    return [plain(make(url)) for url in (engine.url, gateway.url)]


def chat(url, model, **options):
    client = openai.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
    return client.chat.completions.create(
        model=model, messages=ASK, max_tokens=12, extra_body=SAMPLING, **options)


@pytest.mark.parametrize("options", [
    {}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, {"logprobs": True, "top_logprobs": 2},
    {"response_format": {"type": "json_object"}}, {"n": 1, "stop": ["\n"]},
])
def test_openai_chat(engine, gateway, options):
    def make(url):
        answer = chat(url, engine.model(), **options)
        return list(answer) if options.get("stream") else answer
    direct, through = both(engine, gateway, make)
    assert direct == through


@pytest.mark.parametrize("stream", [False, True])
def test_openai_completions(engine, gateway, stream):
    def make(url):
        client = openai.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
        answer = client.completions.create(
            model=engine.model(), prompt="The sea is", max_tokens=8, stream=stream, extra_body=SAMPLING)
        return list(answer) if stream else answer
    direct, through = both(engine, gateway, make)
    assert direct == through


@pytest.mark.parametrize("stream", [False, True])
def test_openai_responses(engine, gateway, stream):
    def make(url):
        client = openai.OpenAI(base_url=url + "/v1", api_key="any", max_retries=0)
        answer = client.responses.create(
            model=engine.model(), input=ASK, max_output_tokens=12, stream=stream, extra_body=SAMPLING)
        return list(answer) if stream else answer
    direct, through = both(engine, gateway, make)
    assert direct == through
    whole = direct[-1]["response"] if stream else direct
    assert whole["status"] == "completed" and whole["usage"]["output_tokens"] == 12


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(engine, gateway, stream):
    def make(url):
        client = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)
        answer = client.messages.create(
            model=engine.model(), messages=ASK, max_tokens=12, stream=stream, extra_body=SAMPLING)
        return list(answer) if stream else answer
    # The first of equal prompts fills the engine's cache, and the counts say so.
    make(engine.url)
    direct, through = both(engine, gateway, make)
    assert direct == through


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("path", "ask"), [
    # First: that there is usage in a stream of these does not mean that chats are to be asked for it.
    ("/v1/messages", {"messages": ASK, "max_tokens": 12}),
    ("/v1/chat/completions", {"messages": ASK, "max_tokens": 12}),
    ("/v1/completions", {"prompt": "The sea is", "max_tokens": 12}),
    ("/v1/responses", {"input": ASK, "max_output_tokens": 12}),
])
def test_bytes(engine, gateway, path, ask, stream):
    """The same members in the same order, `timings` among them, with the same spaces, whatever was asked before."""
    body = json.dumps({"model": engine.model(), "stream": stream, **ask, **SAMPLING}).encode()

    def make(url):
        request = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return OWN_NUMBER.sub(rb"\1 0", OWN_TEXT.sub(rb"\1 0", answer.read()))
    make(engine.url)
    direct, through = make(engine.url), make(gateway.url)
    assert direct == through
    assert (b'"timings":{' in direct) == (path != "/v1/messages" and (stream or path != "/v1/responses"))


def test_ollama_is_translated(engine, gateway):
    said = chat(engine.url, engine.model()).choices[0].message.content
    client = ollama.Client(gateway.url)
    options = {"num_predict": 12, "seed": 1, "temperature": 0}
    assert client.chat(engine.model(), ASK, options=options).message.content == said
    parts = client.chat(engine.model(), ASK, options=options, stream=True)
    assert "".join(part.message.content for part in parts) == said
    # The node beside it is asked as before.
    assert client.chat("llama3.2", ASK).done


def test_an_engine_that_is_killed_in_the_middle(tmp_path):
    engine = Engine()
    gateway = Gateway(tmp_path, [], "--node", engine.url)
    try:
        client = openai.OpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0)
        model = engine.model()
        stream = client.chat.completions.create(model=model, messages=ASK, max_tokens=1500, stream=True)
        with pytest.raises(openai.APIError, match="broke off"):
            for _ in stream:
                engine.process.kill()
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model=model, messages=ASK, max_tokens=5)
        assert refused.value.status_code in (502, 503)
        gateway.until_idle()
    finally:
        gateway.stop()
        engine.stop()
