"""The `ollama` package."""

import asyncio
import base64

import ollama
import pytest

from conftest import PIXEL, SAID

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}


@pytest.fixture
def client(gateway):
    return ollama.Client(host=gateway.url)


def test_list_show_ps(client):
    names = {m.model for m in client.list().models}
    assert {"llama3.2:latest", "shared:latest", "qwen3:8b"} <= names
    shown = client.show("llama3.2")
    assert shown.details.family == "llama"
    assert "completion" in shown.capabilities
    client.generate("llama3.2", "x")
    assert isinstance(client.ps().models, list)


def test_generate(client):
    whole = client.generate("llama3.2", "Why?")
    assert (whole.response, whole.done, whole.done_reason) == (SAID, True, "stop")
    assert whole.eval_count == 6
    parts = list(client.generate("llama3.2", "Why?", stream=True))
    assert "".join(p.response for p in parts) == SAID
    assert [p.done for p in parts] == [False] * 6 + [True]


def test_load_and_unload(client):
    assert client.generate("llama3.2").done_reason == "load"
    assert client.generate("llama3.2", keep_alive=0).done_reason == "unload"


def test_chat(client):
    whole = client.chat("llama3.2", ASK)
    assert whole.message.content == SAID
    parts = list(client.chat("llama3.2", ASK, stream=True))
    assert "".join(p.message.content for p in parts) == SAID
    assert parts[-1].done and parts[-1].prompt_eval_count > 0


def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    return city


@pytest.mark.parametrize("stream", [False, True])
def test_tools(client, stream):
    answer = client.chat("llama3.2", ASK, tools=[weather], stream=stream)
    calls = [c for part in (answer if stream else [answer]) for c in part.message.tool_calls or []]
    assert [(c.function.name, dict(c.function.arguments)) for c in calls] == [("weather", {"city": "Paris"})]


def test_format_and_thinking(client):
    assert client.chat("llama3.2", ASK, format=SCHEMA).message.content == '{"answer": 42}'
    assert client.chat("llama3.2", ASK, think=True).message.thinking == "Let me think."


def test_images(client, gateway):
    client.chat("llama3.2", [{"role": "user", "content": "x", "images": [base64.b64decode(PIXEL)]}])
    assert PIXEL in gateway.sent(0)[-1]["body"]
    with pytest.raises(ollama.ResponseError) as refused:
        client.generate("nowhere", "x", images=[PIXEL])
    assert refused.value.status_code == 404


def test_embed(client):
    assert len(client.embed("llama3.2", ["a", "b"]).embeddings) == 2
    assert len(client.embeddings("llama3.2", "a").embedding) == 3


def test_errors(client):
    for stream in (False, True):
        with pytest.raises(ollama.ResponseError) as refused:
            answer = client.chat("llama3.3", ASK, stream=stream)
            list(answer)
        assert refused.value.status_code == 404
        assert "llama3.2" in refused.value.error, "the nearest name is told"


def test_pull_with_progress(client, gateway):
    steps = list(client.pull("pulled:1b", stream=True))
    assert steps[-1].status == "success"
    done = [s.completed for s in steps if s.digest and s.completed]
    assert done and max(done) == 3_000_000
    assert client.show("pulled:1b").details.family == "llama"
    assert client.pull("pulled:2b").status == "success"
    with pytest.raises(ollama.ResponseError):
        for step in client.pull("missing:1b", stream=True):
            assert step.status != "success"


def test_delete(client):
    client.pull("gone:1b")
    assert client.delete("gone:1b").status == "success"
    with pytest.raises(ollama.ResponseError):
        client.show("gone:1b")


def test_leaving_cancels(client, gateway):
    before = sum(r["end"] == "gone" for r in gateway.sent(1))
    stream = client.generate("qwen3:8b", "x", stream=True, options={"num_predict": 100_000})
    next(stream)
    stream.close()
    gateway.until_left(1, before)


def test_asynchronous(gateway):
    async def ask():
        client = ollama.AsyncClient(host=gateway.url)
        async def one():
            return "".join([p.message.content async for p in await client.chat("shared", ASK, stream=True)])
        return await asyncio.gather(*[one() for _ in range(20)])
    assert asyncio.run(ask()) == [SAID] * 20
