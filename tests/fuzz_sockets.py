#!/usr/bin/env python3
"""fuzz_sockets.py — libFuzzer with AddressSanitizer and UBSan at the machines of the server's sockets, at the bodies of
requests for speech, and at forms.

    tests/fuzz_sockets.py [--seconds 180] [websocket] [wyoming] [speech_request] [multipart]

Builds tests/fuzz/fuzz_NAME.c with clang (apt-get install clang) in a folder of its own under /tmp, writes seeds, runs. A
finding is printed with the bytes that led to it; exits 1 on any. Not a part of `make test`: it takes its time.
"""
import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {"websocket": ["websocket", "speech_socket", "realtime", "json_read", "base64", "sha1"],
           "wyoming": ["wyoming", "json_read"], "speech_request": ["speech_request", "json_read"],
           "multipart": ["multipart", "form"]}
LIBRARIES = {"websocket": ["-lwslay", "-ljansson"], "wyoming": ["-ljansson"], "speech_request": ["-ljansson", "-lm"],
             "multipart": []}


def frame(first, payload, mask=b"\0\0\0\0"):
    n = len(payload)
    length = bytes([0x80 | n]) if n < 126 else b"\xfe" + struct.pack(">H", n)
    return bytes([first]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def messages(*events):
    return b"".join(frame(0x81, json.dumps(event).encode()) for event in events)


SPEECH = messages({"type": "session.config", "voice": "slt", "session": {"speed": 1}},
                  {"type": "input.text", "text": "Hello. "}, {"type": "input.commit"},
                  {"type": "input.text", "text": "Again."}, {"type": "input.done"}, {"type": "cancel"},
                  {"type": "input.cancel"}, {"type": "session.close"})
REALTIME = messages(
    {"type": "session.update", "session": {"audio": {"output": {"voice": {"id": "a"}, "speed": 1.5, "format": {
        "type": "audio/pcm", "rate": 24000}}}, "output_audio_format": "pcm16", "voice": "b"}},
    {"type": "conversation.item.create", "item": {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}},
    {"type": "response.create", "response": {"input": [{"role": "user", "content": [
        {"type": "input_text", "text": "Hello."}]}]}}, {"type": "response.cancel", "event_id": "e"})


def form_part(name, value, more=""):
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'.encode()


def wyoming_event(kind, data=None, payload=b""):
    body = json.dumps(data).encode() if data is not None else b""
    line = {"type": kind, "version": "1.10.2", "data_length": len(body), "payload_length": len(payload)}
    return json.dumps(line).encode() + b"\n" + body + payload


SEEDS = {
    "websocket": [bytes([which, cut]) + frames for which, session in ((0, SPEECH), (1, REALTIME)) for cut in (0, 1, 7)
                  for frames in (session, session + frame(0x89, b"ping") + frame(0x88, b"\x03\xe8bye"),
                                 frame(0x01, b"{") + frame(0x8A, b"") + frame(0x80, b"}"), frame(0x82, b"\xff"))],
    "wyoming": [bytes([cut]) + events for cut in (0, 1, 7) for events in (
        wyoming_event("describe") + wyoming_event("ping", {"text": "a"}),
        wyoming_event("synthesize", {"text": "Hello.", "voice": {"name": "slt", "speaker": "b"}, "text_format": "ssml"}),
        wyoming_event("synthesize-start", {"voice": {"language": "en"}}) + wyoming_event("synthesize-chunk", {"text": "a"})
        + wyoming_event("synthesize", {"text": "a"}) + wyoming_event("synthesize-stop") + wyoming_event("ping"),
        wyoming_event("audio-chunk", {"rate": 1}, b"\0" * 20) + b'{"type":"synthesize","data":{"text":"x"}}\n')],
    "speech_request": [json.dumps(body).encode() for body in (
        {"model": "tts-1", "input": "Hello.", "voice": {"id": "slt"}, "response_format": "opus", "speed": 1.5, "seed": 7},
        {"input": "a", "speaker": "b", "stream_format": "sse", "stream": True, "subtitles": True, "first_chunk": -1},
        {"input": "a", "ref_audio": "data:audio/wav;base64,AAAA", "ref_text": "b", "nfe_step": 16, "method": "ab2"},
        {"input": "a", "references": [{"audio_path": "AAAA", "text": "b"}], "cfg_strength": 2, "sway_sampling_coef": -1.0},
        {"input": "\u00e9\ud83d\ude00", "ssml": False, "normalize": "en", "fix_duration": 1e1, "sample_rate": 16000,
         "cross_fade_duration": 0, "sentence_pause": 0.5, "paragraph_pause": 1, "language": "en", "instructions": "x"})],
    "multipart": [bytes([bite, 0]) + body for bite in (0, 3, 18) for body in (
        form_part("name", "a") + form_part("audio_sample", "RIFF", '; filename="a.wav"\r\nContent-Type: audio/wav')
        + form_part("ref_text", "x\r\n--c\r\n") + form_part("other", "") + b"--b--\r\n",
        b"\r\n" + form_part("name", "\u00e9", '; filename*=x') + form_part("name", "a" * 70) + b"--b--")],
}
WORDS = ["session.config", "session.close", "session.update", "input.text", "input.commit", "input.done", "input.cancel",
         "cancel", "response.create", "response.cancel", "conversation.item.create", "describe", "ping", "synthesize",
         "synthesize-start", "synthesize-chunk", "synthesize-stop", "data_length", "payload_length", "data", "type",
         "text", "voice", "speaker", "audio", "output", "format", "speed", "input", "content", "role", "user", "model",
         "response_format", "stream_format", "sse", "stream", "subtitles", "seed", "nfe_step", "method", "midpoint",
         "cfg_strength", "sway_sampling_coef", "fix_duration", "normalize", "ssml", "sample_rate", "references", "ref_audio",
         "ref_text", "audio_path", "first_chunk", "cross_fade_duration", "id", "null", "true", "1e999", "-1",
         "--b", "--b--", "Content-Disposition: form-data; name=", "Content-Type: ", "filename=", "name", "audio_sample"]


def library():
    """libf5tts.so, for f5_text_is_blank: the build folder's, where the tests look for it too."""
    folder = Path(os.environ.get("F5_BUILD", ROOT / "build")) / "lib"
    if not (folder / "libf5tts.so").exists():
        sys.exit(f"fuzz_sockets.py: {folder}/libf5tts.so is not there: build first, or set F5_BUILD")
    return folder


def run(name, folder, seconds):
    program, seeds = folder / f"fuzz_{name}", folder / f"seeds_{name}"
    seeds.mkdir()
    for i, seed in enumerate(SEEDS[name]):
        (seeds / str(i)).write_bytes(seed)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
    libraries = library()
    subprocess.run(["clang", "-g", "-O1", "-std=gnu11", "-fsanitize=fuzzer,address,undefined",
                    "-fno-sanitize-recover=undefined", f"-I{ROOT}", str(ROOT / f"tests/fuzz/fuzz_{name}.c"),
                    str(ROOT / "kernels/error.c"), *[str(ROOT / f"host/server/{s}.c") for s in SOURCES[name]],
                    f"-L{libraries}", "-lf5tts", f"-Wl,-rpath,{libraries}", *LIBRARIES[name], "-o", str(program)],
                   check=True)
    run = subprocess.run([program, f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096",
                          f"-dict={folder / 'words'}", "-print_final_stats=1", f"-artifact_prefix={folder}/", seeds],
                         stderr=subprocess.PIPE, text=True, errors="replace", cwd=folder)
    lines = run.stderr.splitlines()
    print(f"{name}: " + ("a finding" if run.returncode else "no finding") + " in "
          + ", ".join(line.split("::")[1].strip() for line in lines if line.startswith("stat::number_of_executed"))
          + "; " + next((line for line in reversed(lines) if "cov:" in line), ""))
    if run.returncode:
        print("\n".join(lines[-60:]))
        for found in sorted(folder.glob("crash-*")) + sorted(folder.glob("timeout-*")):
            print(found.name, found.read_bytes())
    return run.returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("names", nargs="*", help=" or ".join(SOURCES))
    options = parser.parse_args()
    if not shutil.which("clang"):
        sys.exit("fuzz_sockets.py: needs clang")
    with tempfile.TemporaryDirectory(prefix="f5_fuzz_") as folder:
        return max(run(name, Path(folder), options.seconds) != 0 for name in options.names or SOURCES)


if __name__ == "__main__":
    sys.exit(main())
