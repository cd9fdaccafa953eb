"""Stock clients with a key, without one, and with one that is revoked in the middle of a stream."""

import itertools

import anthropic
import ollama
import openai
import pytest

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
NAMES = (f"key{n}" for n in itertools.count())


def ollama_client(url, key):
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return ollama.Client(host=url, headers=headers)


def ollama_chat(client, stream):
    # Room for many chunks: a stream must still run when its key is revoked.
    return client.chat(model="llama3.2", messages=ASK, stream=stream, options={"num_predict": 400 if stream else 4})


def openai_client(url, key):
    return openai.OpenAI(base_url=url + "/v1", api_key=key or "none", max_retries=0)


def openai_chat(client, stream):
    return client.chat.completions.create(
        model="llama3.2", messages=ASK, stream=stream, max_tokens=400 if stream else 4)


def anthropic_client(url, key):
    return anthropic.Anthropic(base_url=url, api_key=key or "none", max_retries=0)


def anthropic_bearer(url, key):
    return anthropic.Anthropic(base_url=url, auth_token=key or "none", api_key=None, max_retries=0)


def anthropic_chat(client, stream):
    return client.messages.create(
        model="llama3.2", messages=ASK, stream=stream, max_tokens=400 if stream else 4)


CLIENTS = {
    "ollama": (ollama_client, ollama_chat, ollama.ResponseError),
    "openai": (openai_client, openai_chat, openai.APIError),
    "anthropic": (anthropic_client, anthropic_chat, anthropic.APIError),
    "anthropic bearer": (anthropic_bearer, anthropic_chat, anthropic.APIError),
}


def status_of(error):
    return getattr(error, "status_code", None)


@pytest.fixture(params=CLIENTS, ids=lambda name: name.replace(" ", "-"))
def kind(request):
    return CLIENTS[request.param]


@pytest.fixture
def key(guarded):
    name = next(NAMES)
    made = guarded.aivonx("key", "create", name, "--org", "acme", "--scope", "infer")
    assert made["name"] == name and made["secret"].startswith("aivx_")
    return made


def test_with_a_key(guarded, kind, key):
    make, chat, _ = kind
    client = make(guarded.url, key["secret"])
    chat(client, False)
    for _ in itertools.islice(chat(client, True), 3):
        pass


def test_without_a_key(guarded, kind):
    make, chat, wrong = kind
    for stream in (False, True):
        with pytest.raises(wrong) as refused:
            for _ in chat(make(guarded.url, None), stream):
                pass
        assert status_of(refused.value) == 401


def test_a_revoked_key_ends_its_stream(guarded, kind, key):
    make, chat, wrong = kind
    client = make(guarded.url, key["secret"])
    with pytest.raises(wrong) as ended:
        for at, _ in enumerate(chat(client, True)):
            if at == 2:
                guarded.aivonx("key", "revoke", key["name"], "--org", "acme", "--yes")
    assert "revoked" in str(ended.value)
    with pytest.raises(wrong) as refused:
        chat(client, False)
    assert status_of(refused.value) == 401
    guarded.until_idle()
