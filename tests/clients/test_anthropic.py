"""The `anthropic` package."""

import anthropic
import pytest

from conftest import PIXEL, SAID

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


@pytest.fixture
def client(gateway):
    return anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0)


def test_messages(client):
    whole = client.messages.create(model="llama3.2", max_tokens=100, messages=ASK)
    assert (whole.content[0].text, whole.stop_reason, whole.usage.output_tokens) == (SAID, "end_turn", 6)
    with client.messages.stream(model="llama3.2", max_tokens=100, messages=ASK) as stream:
        assert "".join(stream.text_stream) == SAID
        assert stream.get_final_message().usage.output_tokens == 6


@pytest.mark.parametrize("stream", [False, True])
def test_tools(client, stream):
    if stream:
        with client.messages.stream(model="llama3.2", max_tokens=100, messages=ASK, tools=[TOOL]) as events:
            answer = events.get_final_message()
    else:
        answer = client.messages.create(model="llama3.2", max_tokens=100, messages=ASK, tools=[TOOL])
    assert answer.stop_reason == "tool_use"
    assert [(c.name, c.input) for c in answer.content] == [("weather", {"city": "Paris"})]


def test_images(client, gateway):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    client.messages.create(model="llama3.2", max_tokens=9, messages=[{"role": "user", "content": [image]}])
    assert PIXEL in gateway.sent(0)[-1]["body"]


def test_models(client):
    assert {"llama3.2:latest", "qwen3:8b"} <= {m.id for m in client.models.list()}


def test_errors(client):
    with pytest.raises(anthropic.NotFoundError) as refused:
        client.messages.create(model="llama3.3", max_tokens=9, messages=ASK)
    assert refused.value.body["error"]["type"] == "not_found_error"
    assert "llama3.2" in refused.value.body["error"]["message"]
    assert refused.value.body["request_id"]


def test_leaving_cancels(client, gateway):
    before = sum(r["end"] == "gone" for r in gateway.sent(1))
    stream = client.messages.create(model="qwen3:8b", max_tokens=100_000, messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    gateway.until_left(1, before)
