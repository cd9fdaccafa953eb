"""Websockets: a stock client, the gateway, and a node that is a stock server."""

import json
import threading

import pytest

from conftest import Gateway

sync_client = pytest.importorskip("websockets.sync.client")
sync_server = pytest.importorskip("websockets.sync.server")
http11 = pytest.importorskip("websockets.http11")
Headers = pytest.importorskip("websockets.datastructures").Headers
Closed = pytest.importorskip("websockets.exceptions").ConnectionClosed


def lists(connection, request):
    """The node's catalogue; everything else is a websocket."""
    if request.path.startswith("/v1/realtime"):
        return None
    known = request.path == "/v1/models"
    body = json.dumps({"object": "list", "data": [{"id": "rt", "object": "model"}]} if known else {}).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return http11.Response(200 if known else 404, "OK" if known else "Not Found", headers, body)


def talk(connection):
    for message in connection:
        event = json.loads(message)
        if event["type"] == "response.create":
            connection.send(json.dumps({"type": "response.output_text.delta", "delta": "Hi"}))
            usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
            connection.send(json.dumps({"type": "response.done", "response": {"output": [], "usage": usage}}))
        else:
            connection.send(message)


@pytest.fixture
def realtime(tmp_path):
    with sync_server.serve(talk, "127.0.0.1", 0, process_request=lists) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        node = "http://127.0.0.1:%d" % server.socket.getsockname()[1]
        gateway = Gateway(tmp_path, [], "--node", node)
        yield gateway
        gateway.stop()
        server.shutdown()


def test_both_ways(realtime):
    address = realtime.url.replace("http", "ws") + "/v1/realtime?model=rt"
    with sync_client.connect(address, subprotocols=["realtime"]) as client:
        long = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 300_000})
        client.send(long)
        assert client.recv() == long
        client.send(json.dumps({"type": "response.create"}))
        assert [json.loads(client.recv())["type"] for _ in range(2)] == ["response.output_text.delta", "response.done"]
        # Stock clients ask whether the other side is still there.
        assert client.ping().wait(10)
        [running] = realtime.aivonx("running", "list")
        assert running["tokens"] == 3
        realtime.aivonx("running", "cancel", running["id"])
        with pytest.raises(Closed) as closed:
            client.recv(timeout=10)
        assert closed.value.rcvd.code == 1008


def test_openai(realtime):
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=realtime.url + "/v1", api_key="any", max_retries=0)
    with client.realtime.connect(model="rt") as session:
        session.response.create()
        kinds = []
        for event in session:
            kinds.append(event.type)
            if event.type == "response.done":
                break
    assert kinds == ["response.output_text.delta", "response.done"]
