"""Frameworks on top of the clients: each with its defaults, and the gateway's address where it takes one."""

import asyncio
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import PATIENCE, SAID

ASK = "Why is the sky blue?"


def test_langchain_ollama(gateway):
    langchain_ollama = pytest.importorskip("langchain_ollama")
    model = langchain_ollama.ChatOllama(model="llama3.2", base_url=gateway.url)
    assert model.invoke(ASK).content == SAID
    assert "".join(chunk.content for chunk in model.stream(ASK)) == SAID
    embeddings = langchain_ollama.OllamaEmbeddings(model="llama3.2", base_url=gateway.url)
    assert embeddings.embed_documents(["a", "b"]) == [[1.0, 2.0, 3.0]] * 2


@pytest.mark.parametrize("model", ["llama3.2", "Exact/Name"])
def test_langchain_openai(gateway, model):
    langchain_openai = pytest.importorskip("langchain_openai")
    model = langchain_openai.ChatOpenAI(model=model, base_url=gateway.url + "/v1", api_key="any", max_retries=0)
    answer = model.invoke(ASK)
    assert (answer.content, answer.usage_metadata["output_tokens"]) == (SAID, 6)
    assert "".join(chunk.content for chunk in model.stream(ASK)) == SAID


def test_llama_index(gateway):
    llms = pytest.importorskip("llama_index.llms.ollama")
    model = llms.Ollama(model="llama3.2", base_url=gateway.url, request_timeout=60)
    assert model.complete(ASK).text == SAID
    assert list(model.stream_complete(ASK))[-1].text == SAID


@pytest.mark.parametrize("model", [
    "ollama/llama3.2", "ollama_chat/llama3.2", "openai/llama3.2", "openai/Exact/Name", "hosted_vllm/Exact/Name",
    "anthropic/llama3.2",
])
def test_litellm(gateway, model):
    litellm = pytest.importorskip("litellm")
    suffix = "/v1" if model.startswith(("openai/", "hosted_vllm/")) else ""
    options = {
        "model": model, "api_base": gateway.url + suffix, "api_key": "any", "num_retries": 0,
        "messages": [{"role": "user", "content": ASK}],
    }
    if model.startswith("anthropic/"):
        options["max_tokens"] = 50
    assert litellm.completion(**options).choices[0].message.content == SAID
    chunks = litellm.completion(**options, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID


def test_instructor(gateway):
    instructor = pytest.importorskip("instructor")
    openai = pytest.importorskip("openai")
    pydantic = pytest.importorskip("pydantic")

    class Answer(pydantic.BaseModel):
        answer: int

    plain = openai.OpenAI(base_url=gateway.url + "/v1", api_key="any", max_retries=0)
    client = instructor.from_openai(plain, mode=instructor.Mode.JSON)
    messages = [{"role": "user", "content": ASK}]
    answer = client.chat.completions.create(model="llama3.2", messages=messages, response_model=Answer)
    assert answer.answer == 42


def test_pydantic_ai(gateway):
    pydantic_ai = pytest.importorskip("pydantic_ai")
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=gateway.url + "/v1", api_key="any")
    agent = pydantic_ai.Agent(OpenAIChatModel("llama3.2", provider=provider))
    assert asyncio.run(agent.run(ASK)).output == SAID


@pytest.mark.parametrize("options", [[], ["--no-stream"]])
def test_llm(gateway, tmp_path, options):
    """The command, whose models with OpenAI's API are named in a file of its own."""
    command = pathlib.Path(sys.executable).with_name("llm")
    if not command.exists():
        pytest.skip("llm is not installed")
    # YAML takes JSON.
    model = {"model_id": "here", "model_name": "Exact/Name", "api_base": gateway.url + "/v1", "api_key_name": "here"}
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps([model]))
    environment = {**os.environ, "LLM_USER_PATH": str(tmp_path)}
    done = subprocess.run(
        [command, "-m", "here", "--key", "any", *options, ASK],
        env=environment, capture_output=True, text=True, timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout.strip()) == (0, SAID), done.stderr
