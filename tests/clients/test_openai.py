"""The `openai` package."""

import openai
import pytest

from conftest import PIXEL, SAID

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}}}}
MODELS = ["llama3.2", "Exact/Name"]


@pytest.fixture
def client(gateway):
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0)


def test_models(client):
    assert {"llama3.2:latest", "qwen3:8b", "Exact/Name"} <= {m.id for m in client.models.list()}
    assert client.models.retrieve("llama3.2:latest").id == "llama3.2:latest"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nowhere")


@pytest.mark.parametrize("model", MODELS)
def test_chat(client, model):
    whole = client.chat.completions.create(model=model, messages=ASK)
    assert whole.choices[0].message.content == SAID
    assert whole.usage.completion_tokens == 6
    chunks = list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    assert "".join(c.choices[0].delta.content for c in chunks) == SAID
    assert all(c.usage is None for c in chunks), "usage was not asked for"
    chunks = list(client.chat.completions.create(
        model=model, messages=ASK, stream=True, stream_options={"include_usage": True}))
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 6)


@pytest.mark.parametrize("stream", [False, True])
def test_tools(client, stream):
    answer = client.chat.completions.create(model="llama3.2", messages=ASK, tools=[TOOL], stream=stream)
    if stream:
        calls = [c for chunk in answer for c in chunk.choices[0].delta.tool_calls or []]
    else:
        calls = answer.choices[0].message.tool_calls
    assert [(c.function.name, c.function.arguments) for c in calls] == [("weather", '{"city":"Paris"}')]


def test_format_and_images(client, gateway):
    answer = client.chat.completions.create(
        model="llama3.2", messages=ASK, response_format={"type": "json_object"})
    assert answer.choices[0].message.content == '{"answer": 42}'
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    client.chat.completions.create(model="llama3.2", messages=[{"role": "user", "content": [image]}])
    assert PIXEL in gateway.sent(0)[-1]["body"]


def test_completions(client):
    assert client.completions.create(model="llama3.2", prompt="x").choices[0].text == SAID
    chunks = list(client.completions.create(model="llama3.2", prompt="x", stream=True))
    assert "".join(c.choices[0].text for c in chunks) == SAID


def test_embeddings(client):
    # The client asks for base64 on its own accord and decodes it.
    rows = client.embeddings.create(model="llama3.2", input=["a", "b"]).data
    assert [r.embedding for r in rows] == [[1.0, 2.0, 3.0]] * 2


def test_responses(client):
    whole = client.responses.create(model="llama3.2", input="Why?")
    assert (whole.output_text, whole.usage.output_tokens) == (SAID, 6)
    events = list(client.responses.create(model="llama3.2", input="Why?", stream=True))
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == SAID
    assert events[-1].type == "response.completed"


def test_errors(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="llama3.3", messages=ASK)
    assert "llama3.2" in refused.value.body["message"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="llama3.3", messages=ASK, stream=True)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="llama3.2", messages=ASK, extra_body={"Model": "x"})


def test_leaving_cancels(client, gateway):
    before = sum(r["end"] == "gone" for r in gateway.sent(1))
    stream = client.chat.completions.create(model="qwen3:8b", messages=ASK, stream=True, max_tokens=100_000)
    next(iter(stream))
    stream.close()
    gateway.until_left(1, before)
