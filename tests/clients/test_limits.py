"""Stock clients beyond a limit raise their own rate-limit exception, in every dialect."""

import itertools
import time

import anthropic
import ollama
import openai
import pytest

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
NAMES = (f"limited{n}" for n in itertools.count())


@pytest.fixture
def key(guarded):
    """A key that may ask once a day."""
    name = next(NAMES)
    secret = guarded.aivonx("key", "create", name, "--org", "acme", "--scope", "infer")["secret"]
    guarded.aivonx("limit", "set", "--org", "acme", "--key", name, "inference.day=1")
    ollama_client(guarded, secret).generate(model="llama3.2", prompt="x", options={"num_predict": 1})
    return secret


def ollama_client(guarded, secret):
    return ollama.Client(host=guarded.url, headers={"Authorization": f"Bearer {secret}"})


def told(response):
    fields = response.json()
    assert (fields["limit"], fields["used"]) == (1, 1)
    assert 0 < fields["reset_in_hours"] <= 24
    assert "inference.day" in str(fields["error"])
    assert abs(int(response.headers["retry-after"]) - fields["reset_in_hours"] * 3600) < 2
    assert response.headers["x-ratelimit-remaining"] == "0"


@pytest.mark.parametrize("stream", [False, True])
def test_openai(guarded, key, stream):
    # With the retries it does by itself: it must not wait for another day.
    client = openai.OpenAI(base_url=guarded.url + "/v1", api_key=key)
    began = time.monotonic()
    for ask in (
        lambda: client.chat.completions.create(model="llama3.2", messages=ASK, stream=stream),
        lambda: client.completions.create(model="llama3.2", prompt="x", stream=stream),
        lambda: client.responses.create(model="llama3.2", input="x", stream=stream),
        lambda: client.embeddings.create(model="llama3.2", input="x"),
    ):
        with pytest.raises(openai.RateLimitError) as refused:
            ask()
        assert refused.value.code == "rate_limit_exceeded"
        told(refused.value.response)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(guarded, key, stream):
    client = anthropic.Anthropic(base_url=guarded.url, api_key=key)
    with pytest.raises(anthropic.RateLimitError) as refused:
        client.messages.create(model="llama3.2", max_tokens=9, messages=ASK, stream=stream)
    told(refused.value.response)


@pytest.mark.parametrize("stream", [False, True])
def test_ollama(guarded, key, stream):
    client = ollama_client(guarded, key)
    with pytest.raises(ollama.ResponseError) as refused:
        answer = client.chat(model="llama3.2", messages=ASK, stream=stream)
        list(answer)
    assert refused.value.status_code == 429
    assert "inference.day" in refused.value.error


def test_a_prompt_that_is_too_long(guarded):
    name = next(NAMES)
    secret = guarded.aivonx("key", "create", name, "--org", "acme", "--scope", "infer")["secret"]
    guarded.aivonx("limit", "set", "--org", "acme", "--key", name, "prompt.chars=5")
    client = openai.OpenAI(base_url=guarded.url + "/v1", api_key=secret)
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="llama3.2", messages=ASK)
    assert refused.value.status_code == 413
