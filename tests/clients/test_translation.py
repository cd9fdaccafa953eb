"""Clients whose API no node speaks that has their model."""

import anthropic
import ollama
import openai
import pytest

from conftest import PIXEL, SAID, serve
from test_ollama import weather

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
FUNCTION = {"type": "function", "name": "weather", "parameters": TOOL["input_schema"]}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


@pytest.fixture(scope="module")
def translating(tmp_path_factory):
    """A gateway with an old Ollama and a server that has OpenAI's chat completions alone."""
    plain = ["--lacks", "/v1/messages", "--lacks", "/v1/responses"]
    yield from serve(
        tmp_path_factory.mktemp("translating"),
        (
            ["--model", "old:latest", "--version", "0.12.6"],
            ["--kind", "openai", "--model", "Exact/Name", *plain],
        ),
    )


@pytest.fixture(params=["old", "Exact/Name"])
def model(request):
    return request.param


@pytest.fixture
def claude(translating):
    return anthropic.Anthropic(base_url=translating.url, api_key="any", max_retries=0)


@pytest.fixture
def llama(translating):
    return ollama.Client(host=translating.url)


def test_messages(claude, model):
    whole = claude.messages.create(model=model, max_tokens=6, system="Be short.", messages=ASK)
    assert (whole.content[0].text, whole.stop_reason, whole.usage.output_tokens) == (SAID, "max_tokens", 6)
    with claude.messages.stream(model=model, max_tokens=6, messages=ASK) as stream:
        assert "".join(stream.text_stream) == SAID
        assert stream.get_final_message().usage.output_tokens == 6


@pytest.mark.parametrize("stream", [False, True])
def test_tools_of_messages(claude, translating, model, stream):
    if stream:
        with claude.messages.stream(model=model, max_tokens=100, messages=ASK, tools=[TOOL]) as events:
            answer = events.get_final_message()
    else:
        answer = claude.messages.create(model=model, max_tokens=100, messages=ASK, tools=[TOOL])
    assert answer.stop_reason == "tool_use"
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("weather", {"city": "Paris"})]
    result = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": [{"type": "text", "text": "rain"}]}
    ]
    turns = [*ASK, {"role": "assistant", "content": answer.content}, {"role": "user", "content": result}]
    claude.messages.create(model=model, max_tokens=9, messages=turns)
    assert "rain" in translating.sent(0 if model == "old" else 1)[-1]["body"]


def test_images_of_messages(claude, translating, model):
    turn = {"role": "user", "content": [IMAGE, {"type": "text", "text": "What is it?"}]}
    claude.messages.create(model=model, max_tokens=9, messages=[turn])
    assert PIXEL in translating.sent(0 if model == "old" else 1)[-1]["body"]


def test_refusals_of_messages(claude, model):
    search = {"type": "web_search_20250305", "name": "web_search"}
    with pytest.raises(anthropic.BadRequestError, match="web_search_20250305"):
        claude.messages.create(model=model, max_tokens=9, messages=ASK, tools=[search])


def test_responses(translating, model):
    client = openai.OpenAI(base_url=translating.url + "/v1", api_key="any", max_retries=0)
    whole = client.responses.create(model=model, input="Why?", instructions="Be short.")
    assert (whole.output_text, whole.status, whole.usage.output_tokens) == (SAID, "completed", 6)
    with client.responses.stream(model=model, input="Why?", tools=[FUNCTION]) as stream:
        kinds = [event.type for event in stream]
        calls = [item for item in stream.get_final_response().output if item.type == "function_call"]
    assert [(call.name, call.arguments.replace(" ", "")) for call in calls] == [("weather", '{"city":"Paris"}')]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    with client.responses.stream(model=model, input="Why?") as stream:
        assert "".join(e.delta for e in stream if e.type == "response.output_text.delta") == SAID


def test_the_ollama_package(llama):
    assert {"old:latest", "Exact/Name"} <= {listed.model for listed in llama.list().models}
    assert "completion" in llama.show("Exact/Name").capabilities
    assert llama.generate("Exact/Name").done_reason == "load"
    whole = llama.chat("Exact/Name", ASK)
    assert (whole.message.content, whole.done_reason, whole.eval_count) == (SAID, "stop", 6)
    parts = list(llama.chat("Exact/Name", ASK, stream=True))
    assert "".join(part.message.content for part in parts) == SAID
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]
    assert parts[-1].total_duration > 0 and parts[-1].eval_duration > 0
    for raw in (False, True):
        parts = llama.generate("Exact/Name", "Why?", stream=True, raw=raw)
        assert "".join(part.response for part in parts) == SAID
    assert len(llama.embed("Exact/Name", ["a b", "c"]).embeddings) == 2
    assert llama.generate("Exact/Name", keep_alive=0).done_reason == "unload"


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_images_of_the_ollama_package(llama, translating, stream):
    answer = llama.chat("Exact/Name", ASK, tools=[weather], stream=stream)
    calls = [c for part in (answer if stream else [answer]) for c in part.message.tool_calls or []]
    assert [(c.function.name, dict(c.function.arguments)) for c in calls] == [("weather", {"city": "Paris"})]
    turns = [
        *ASK,
        {"role": "assistant", "content": "", "tool_calls": [call.model_dump() for call in calls]},
        {"role": "tool", "tool_name": "weather", "content": "rain"},
        {"role": "user", "content": "And this?", "images": [PIXEL]},
    ]
    assert llama.chat("Exact/Name", turns).message.content == SAID
    body = translating.sent(1)[-1]["body"]
    assert "data:image/png;base64," + PIXEL in body and "rain" in body


def test_errors_of_the_ollama_package(llama):
    with pytest.raises(ollama.ResponseError, match="suffix"):
        llama.generate("Exact/Name", "x", suffix="y")
