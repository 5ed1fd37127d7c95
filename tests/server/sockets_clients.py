#!/usr/bin/env python3
"""sockets_clients.py — clients that others wrote at the server's sockets: websockets (with and without compression
offered), aiohttp as Open WebUI uses it, openai-python's Realtime client, Wyoming's own client as Home Assistant uses it.

    python3 -m venv V && V/bin/pip install websockets aiohttp openai wyoming numpy
    F5_BUILD=build V/bin/python tests/server/sockets_clients.py

With a tiny model of random weights. A line each; exits 1 if one failed. Not a part of `make test`: PyPI is needed.
"""
import asyncio
import base64
import importlib.metadata
import io
import json
import sys
import tempfile
import traceback
import wave
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import aiohttp  # noqa: E402
import openai  # noqa: E402
import websockets  # noqa: E402
import websockets.sync.client  # noqa: E402
from wyoming.audio import AudioChunk, AudioStart, AudioStop  # noqa: E402
from wyoming.client import AsyncTcpClient  # noqa: E402
from wyoming.error import Error  # noqa: E402
from wyoming.info import Describe, Info  # noqa: E402
from wyoming.ping import Ping, Pong  # noqa: E402
from wyoming.tts import (Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped,  # noqa: E402
                         SynthesizeVoice)

import convert_lib  # noqa: E402
from socket_client import Server  # noqa: E402

TEXT = "The children are playing in the garden. It is late."


async def speech(ws, receive, send):
    await send({"type": "session.config", "voice": "slt", "response_format": "pcm", "stream_audio": True})
    assert (await receive())["type"] == "session.configured"
    for word in TEXT.split(" "):
        await send({"type": "input.text", "text": word + " "})
    await send({"type": "input.done"})
    sentences, sound = 0, 0
    while True:
        message = await receive()
        if isinstance(message, bytes):
            sound += len(message)
        elif message["type"] == "audio.done":
            sentences += 1
        elif message["type"] == "session.done":
            break
    assert sentences == message["total_sentences"] == 2 and sound > 10000
    await send({"type": "session.close"})


async def with_websockets(server, **options):
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream", **options) as ws:
        async def receive():
            message = await ws.recv()
            return message if isinstance(message, bytes) else json.loads(message)
        await speech(ws, receive, lambda event: ws.send(json.dumps(event)))
        await ws.wait_closed()
        assert ws.close_code == 1000
        assert not ws.protocol.extensions


async def with_websockets_sync(server):
    def run():
        with websockets.sync.client.connect(f"ws://127.0.0.1:{server.port}/v1/audio/speech/stream") as ws:
            ws.send(json.dumps({"type": "session.config", "response_format": "wav", "split_granularity": "none"}))
            # in fragments, as a generator is sent
            ws.send(iter(['{"type": "input.text", ', '"text": "Hello ', 'there."}']))
            ws.send(json.dumps({"type": "input.done"}))
            got = [ws.recv() for _ in range(5)]
            with wave.open(io.BytesIO(got[2])) as file:
                assert file.getframerate() == 24000 and file.getnframes() > 1000
            ws.ping().wait(10)
    await asyncio.to_thread(run)


async def with_aiohttp(server):
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{server.port}/v1/audio/speech/stream", compress=15) as ws:
            async def receive():
                message = await ws.receive(60)
                return message.data if message.type == aiohttp.WSMsgType.BINARY else json.loads(message.data)
            await speech(ws, receive, ws.send_json)
            assert (await ws.receive(10)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def as_open_webui(server):
    """The events, and what is asked of the answers, as Open WebUI 0.12's engine openai-realtime has them."""
    pcm, ids = bytearray(), []
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"ws://127.0.0.1:{server.port}/v1/realtime?model=f5-tts",
                                      headers={"Authorization": "Bearer any"}) as ws:
            async for message in ws:
                event = message.json()
                if event["type"] == "session.created":
                    await ws.send_json({"type": "session.update", "session": {
                        "type": "realtime", "output_modalities": ["audio"], "tools": [], "tool_choice": "none",
                        "instructions": "Read the text.", "audio": {
                            "input": {"turn_detection": None, "transcription": None},
                            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "slt"}}}})
                elif event["type"] == "session.updated":
                    await ws.send_json({"type": "response.create", "response": {
                        "conversation": "none", "output_modalities": ["audio"], "tools": [], "tool_choice": "none",
                        "instructions": "Read the text.", "input": [{"type": "message", "role": "user", "content": [
                            {"type": "input_text", "text": TEXT}]}]}})
                elif event["type"] == "response.created":
                    ids.append(event["response"]["id"])
                elif event["type"] == "response.output_audio.delta":
                    assert event["response_id"] == ids[0]
                    pcm.extend(base64.b64decode(event["delta"], validate=True))
                elif event["type"] == "response.done":
                    assert event["response"]["id"] == ids[0] and event["response"]["status"] == "completed"
                    break
                else:
                    assert event["type"] == "response.output_audio.done", event
    assert len(pcm) > 10000 and len(pcm) % 2 == 0


async def with_openai(server):
    client = openai.AsyncOpenAI(api_key="any", base_url=f"http://127.0.0.1:{server.port}/v1")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(session={"type": "realtime", "audio": {"output": {"voice": "slt"}}})
        await connection.response.create(response={"input": [{"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": TEXT}]}]})
        sound = 0
        async for event in connection:
            assert event.type != "error", event
            if event.type == "response.output_audio.delta":
                sound += len(base64.b64decode(event.delta))
            if event.type == "response.done":
                assert event.response.status == "completed"
                break
        assert sound > 10000


async def with_wyoming(server):
    async with AsyncTcpClient("127.0.0.1", server.wyoming_port) as client:
        await client.write_event(Describe().event())
        info = Info.from_event(await client.read_event())
        assert info.tts[0].supports_synthesize_streaming and len(info.tts[0].voices) >= 3
        await client.write_event(Ping(text="x").event())
        assert Pong.from_event(await client.read_event()).text == "x"
        await client.write_event(Synthesize(text=TEXT, voice=SynthesizeVoice(name="rms")).event())
        kinds, sound, at = [], 0, 0
        while not kinds or not AudioStop.is_type(kinds[-1]):
            event = await client.read_event()
            kinds.append(event.type)
            if AudioStart.is_type(event.type):
                assert AudioStart.from_event(event).rate == 24000
            if AudioChunk.is_type(event.type):
                chunk = AudioChunk.from_event(event)
                assert (chunk.rate, chunk.width, chunk.channels) == (24000, 2, 1) and chunk.timestamp == at // 24
                sound += len(chunk.audio)
                at += chunk.samples
        assert AudioStart.is_type(kinds[0]) and sound > 10000
        await client.write_event(Synthesize(text=TEXT, voice=SynthesizeVoice(name="nobody")).event())
        assert "nobody" in Error.from_event(await client.read_event()).text
        assert await client.read_event() is None


async def as_home_assistant(server):
    """Its streaming sequence: parts of the text, the whole of it again, the end."""
    async with AsyncTcpClient("127.0.0.1", server.wyoming_port) as client:
        await client.write_event(SynthesizeStart(voice=SynthesizeVoice(name="slt")).event())
        for word in TEXT.split(" "):
            await client.write_event(SynthesizeChunk(text=word + " ").event())
        await client.write_event(Synthesize(text=TEXT).event())
        await client.write_event(SynthesizeStop().event())
        sound = io.BytesIO()
        with wave.open(sound, "wb") as out:
            begun = False
            while True:
                event = await client.read_event()
                assert event is not None
                if AudioStart.is_type(event.type):
                    start = AudioStart.from_event(event)
                    assert not begun
                    begun = True
                    out.setframerate(start.rate)
                    out.setsampwidth(start.width)
                    out.setnchannels(start.channels)
                elif AudioChunk.is_type(event.type):
                    out.writeframes(AudioChunk.from_event(event).audio)
                elif SynthesizeStopped.is_type(event.type):
                    break
                else:
                    assert AudioStop.is_type(event.type)
        assert len(sound.getvalue()) > 10000


CLIENTS = {"websockets, asyncio": with_websockets, "websockets without compression":
           lambda server: with_websockets(server, compression=None), "websockets, threads, fragments": with_websockets_sync,
           "aiohttp, compression offered": with_aiohttp, "aiohttp as Open WebUI's openai-realtime": as_open_webui,
           "openai-python, realtime.connect": with_openai, "wyoming": with_wyoming,
           "wyoming as Home Assistant streams": as_home_assistant}


def main():
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("websockets", "aiohttp", "openai", "wyoming")))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="f5_clients_") as folder:
        made = convert_lib.rc.make_checkpoint(Path(folder), arch="tiny", seed=1)
        assert convert_lib.convert(made, Path(folder) / "tiny.f5").returncode == 0
        with Server(Path(folder) / "tiny.f5", "--wyoming_port=0") as server:
            for name, client in CLIENTS.items():
                try:
                    asyncio.run(asyncio.wait_for(client(server), 120))
                    print(f"{name}: gets its sound")
                except Exception:
                    failed += 1
                    print(f"{name}: FAILED\n{traceback.format_exc()}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
