#!/usr/bin/env python3
"""compare_clients.py — the clients that people use, as PyPI has them, against `f5tts serve`.

    python3 -m venv VENV
    VENV/bin/pip install openai litellm pipecat-ai livekit-agents livekit-plugins-openai numpy
    F5_BUILD=build VENV/bin/python tests/reference/compare_clients.py [--model FILE.f5] [--only openai]

Each line is a client, its version, and what it got; a client that is not installed is said to be missing, and that or a
failure makes the exit code 1. tests/server/test_client_requests.py sends the same requests without the packages.
"""
import argparse
import asyncio
import importlib.metadata
import io
import sys
import time
import wave
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "server")]

import running  # noqa: E402

TEXT = "The children are playing in the garden."
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def require(good, what):
    if not good:
        raise AssertionError(what)


def check_openai(server):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-any", max_retries=0)
    more = dict(model="tts-1", voice="alloy", input=TEXT, extra_body={"nfe_step": 2, "seed": 1})
    sizes = {}
    for form in FORMATS:
        sizes[form] = len(client.audio.speech.create(response_format=form, **more).read())
        require(sizes[form] > 2000, form)
    pcm = client.audio.speech.create(response_format="pcm", **more).read()
    with client.audio.speech.with_streaming_response.create(response_format="pcm", **more) as reply:
        parts = list(reply.iter_bytes(4096))
    require(b"".join(parts) == pcm and len(parts) > 3, "the stream is the same sound")
    with client.audio.speech.with_streaming_response.create(response_format="mp3", stream_format="sse", **more) as reply:
        lines = list(reply.iter_lines())
    require(any("speech.audio.done" in line for line in lines) and any("speech.audio.delta" in line for line in lines), "events")
    with wave.open(io.BytesIO(client.audio.speech.create(response_format="wav", **more).read())) as w:
        require(w.getframerate() == 24000 and w.getnframes() > 10000, "a WAV with its length")
    client.audio.speech.create(model="tts-1", voice={"id": "slt"}, input=TEXT, speed=1.5, instructions="calm",
                               extra_body={"nfe_step": 1}).read()
    require(any(m.id == "f5-tts" for m in client.models.list()) and client.models.retrieve("tts-1").id == "tts-1", "models")
    for error, fields in ((openai.BadRequestError, dict(input="")), (openai.BadRequestError, dict(speed=9)),
                          (openai.NotFoundError, dict(model="whisper-1")), (openai.BadRequestError, dict(voice="nobody"))):
        try:
            client.audio.speech.create(**{**more, **fields})
            require(False, f"{fields} was taken")
        except error as e:
            require(e.body["type"] and e.request_id and e.body["message"], "a typed error")
    return ", ".join(f"{k} {v}" for k, v in sizes.items()) + " bytes; stream, sse, models, typed errors"


def check_retries(server):
    """503 with Retry-After: the client waits and gets its sound."""
    import openai
    from concurrent.futures import ThreadPoolExecutor
    with running.Server(server.model, "--running=1", "--waiting=1", "--threads=1") as small:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{small.port}/v1", api_key="sk-any", max_retries=60, timeout=300)

        def one(i):
            return len(client.audio.speech.create(model="tts-1", voice="slt", input=TEXT, response_format="pcm",
                                                  extra_body={"nfe_step": 1}).read())

        with ThreadPoolExecutor(8) as pool:
            sizes = list(pool.map(one, range(8)))
        refused = small.metrics()["f5tts_refused_total"]
    require(min(sizes) > 10000 and refused > 0, f"{sizes}, {refused} refused")
    return f"8 at once at a queue of 1: all spoken, after {refused:.0f} answers of 503"


def check_litellm(server):
    import litellm
    reply = litellm.speech(model="openai/tts-1", voice="alloy", input=TEXT, api_base=f"http://127.0.0.1:{server.port}/v1",
                           api_key="sk-any", response_format="wav", speed=1.0)
    body = reply.read()
    require(body[:4] == b"RIFF" and len(body) > 10000, "WAV")
    return f"{len(body)} bytes of WAV"


def check_pipecat(server):
    from pipecat.frames.frames import ErrorFrame, StartFrame, TTSAudioRawFrame
    from pipecat.services.openai.tts import OpenAITTSService

    async def speak():
        service = OpenAITTSService(api_key="sk-any", base_url=f"http://127.0.0.1:{server.port}/v1", sample_rate=24000,
                                   settings=OpenAITTSService.Settings(voice="alloy", model="gpt-4o-mini-tts"))
        service._sample_rate = 24000  # what its start() sets from a pipeline's StartFrame
        frames = [f async for f in service.run_tts(TEXT, "context")]
        errors = [f for f in frames if isinstance(f, ErrorFrame)]
        require(not errors, errors)
        return sum(len(f.audio) for f in frames if isinstance(f, TTSAudioRawFrame))

    del StartFrame
    size = asyncio.run(speak())
    require(size > 10000, size)
    return f"{size} bytes of samples in audio frames"


def check_livekit(server):
    import aiohttp
    from livekit.plugins import openai as plugin

    async def speak(**more):
        async with aiohttp.ClientSession():
            tts = plugin.TTS(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-any", voice="alloy", **more)
            tts.prewarm()
            frames = [event.frame async for event in tts.synthesize(TEXT)]
            await tts.aclose()
            return sum(f.samples_per_channel for f in frames) / frames[0].sample_rate

    told = []
    for model, form in (("gpt-4o-mini-tts", "mp3"), ("tts-1", "mp3"), ("gpt-4o-mini-tts", "pcm")):
        seconds = asyncio.run(speak(model=model, response_format=form))
        require(seconds > 0.5, (model, form, seconds))
        told.append(f"{model} {form} {seconds:.2f} s")
    return ", ".join(told)


CLIENTS = {"openai": ("openai", check_openai), "openai, retries": ("openai", check_retries),
           "litellm": ("litellm", check_litellm), "pipecat": ("pipecat-ai", check_pipecat),
           "livekit": ("livekit-plugins-openai", check_livekit)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="default: the voice that comes with the program")
    parser.add_argument("--only", choices=CLIENTS)
    options = parser.parse_args()
    failed = False
    with running.Server(options.model, "--voice_alias=alloy=slt", "--nfe_step=2") as server:
        server.model = options.model
        for name, (package, check) in CLIENTS.items():
            if options.only and name != options.only:
                continue
            began = time.monotonic()
            try:
                version = importlib.metadata.version(package)
                told = check(server)
                print(f"{name:18} {version:10} {told} ({time.monotonic() - began:.1f} s)", flush=True)
            except importlib.metadata.PackageNotFoundError:
                failed = True
                print(f"{name:18} missing: pip install {package}", flush=True)
            except Exception as e:
                failed = True
                print(f"{name:18} {version:10} FAILED: {type(e).__name__}: {e}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
