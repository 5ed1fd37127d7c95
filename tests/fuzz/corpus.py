#!/usr/bin/env python3
"""Small good files of each kind for fuzz_files.c to change: corpus.py TARGET FOLDER. FFmpeg makes the recordings."""
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

TEXTS = {
    "TOML": ['a = 1\nb = "x\\u00e9"\n[voices.town]\nref_audio = \'c\'\nspeed = 1.5e1\nlist = [1, [2, "x"], {k = true}]\n',
             'model = """\nlong\n"""\nx.y.z = 0xff\nw = {a = 1, b.c = -inf}\n'],
    "LIST": ["text\tvoice\toutput\nHello\tslt\ta.wav\n\nMore\n", '{"text": "a\\u00e9", "speed": 1.5, "quiet": null}\n{"text": 3}\n'],
    "SSML": ['<speak version="1.1">a<p><s>b <break time="1s"/></s></p><prosody rate="+20%">c</prosody>'
             '<say-as interpret-as="date" format="mdy">1/2/2000</say-as><sub alias="x">y</sub>&amp;&#65;<!-- c --></speak>'],
    "LEXICON": ["St Pauls\tSaint Paul's\n# a comment\nword\tother\n"],
    "SUBTITLES": ["3One sentence, and more words than a line of subtitles can hold; then some. \u4e2d\u6587 <i>&amp;</i>\r\n\n-->"],
    "CONFIG": [json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "use_rslora": True, "bias": "none",
                           "rank_pattern": {"to_q": 4}, "alpha_pattern": {"layer.to_q": 2.5}, "modules_to_save": ["x"]})],
    "VOCAB": [" \na\nb\nni3\nb\n\u00e9\n", " \n" + "\n".join("abcdefghijklmnop") + "\na\n"]}


def safetensors(tensors):
    header, data = {}, b""
    for name, shape in tensors.items():
        n = 4
        for d in shape:
            n *= d
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + n]}
        data += bytes(range(n))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


class Pickle:
    """A state dict as torch.save writes it, by hand: torch is not needed."""

    def __init__(self, tensors, legacy):
        self.tensors, self.legacy = tensors, legacy

    def storage(self, key, n):
        more = b"N" if self.legacy else b""
        return (b"(X\x07\0\0\0storagectorch\nFloatStorage\nX" + struct.pack("<I", len(key)) + key.encode() +
                b"X\x03\0\0\0cpuK" + bytes([n]) + more + b"tQ")

    def dict(self):
        out = b"\x80\x02}("
        for i, (name, shape) in enumerate(self.tensors.items()):
            n = shape[0] * shape[1]
            out += (b"X" + struct.pack("<I", len(name)) + name.encode() + b"ctorch._utils\n_rebuild_tensor_v2\n(" +
                    self.storage(str(i), n) + b"K\0(K" + bytes([shape[0]]) + b"K" + bytes([shape[1]]) + b"t(K" +
                    bytes([shape[1]]) + b"K\x01t\x89ccollections\nOrderedDict\n)RtR")
        return out + b"u."

    def file(self):
        numbers = [bytes(4 * s[0] * s[1]) for s in self.tensors.values()]
        if self.legacy:
            keys = [str(i) for i in range(len(numbers))]
            return (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + pickle.dumps(1001, 2) +
                    pickle.dumps(dict(protocol_version=1001, little_endian=True, type_sizes={}), 2) + self.dict() +
                    pickle.dumps(keys, 2) + b"".join(struct.pack("<Q", len(n) // 4) + n for n in numbers))
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as z:
            z.writestr("archive/data.pkl", self.dict())
            for i, n in enumerate(numbers):
                z.writestr(f"archive/data/{i}", n)
            z.writestr("archive/version", "3\n")
        return raw.getvalue()


def recordings():
    tone = ["-f", "lavfi", "-i", "sine=f=300:r=8000:d=0.1"]
    for name, options in {"wav": [], "aiff": [], "au": [], "caf": [], "w64": [], "flac": [], "ogg": ["-c:a", "libvorbis"],
                          "rf64": ["-rf64", "always", "-f", "wav"], "mp3": [], "webm": ["-c:a", "libopus"], "wma": [],
                          "m4a": ["-c:a", "aac"], "aac": ["-c:a", "aac", "-f", "adts"], "voc": [], "mp2": []}.items():
        rate = ["-ar", "8000"] if name in ("wav", "aiff", "au", "caf", "w64", "flac", "rf64", "voc") else ["-ar", "16000"]
        format_ = [] if "-f" in options else ["-f", {"wma": "asf", "m4a": "ipod"}.get(name, name)]
        target = Path(sys.argv[2]) / f"seed.{name}"
        subprocess.run(["ffmpeg", "-v", "error", "-y", *tone, *rate, *options, *format_, target], check=True)
    (Path(sys.argv[2]) / "seed.amr").write_bytes(b"#!AMR\n" + (b"\x3c" + bytes(31)) * 5 + b"\x44" + bytes(5) + b"\x7c")


def main():
    target, folder = sys.argv[1], Path(sys.argv[2])
    model = {"ema_model.transformer.a": (2, 3), "b": (1, 4)}
    lora = {"base_model.model.t.a.lora_A.weight": (2, 3), "base_model.model.t.a.lora_B.weight": (4, 2),
            "base_model.model.t.b.weight": (2, 2)}
    files = [text.encode() for text in TEXTS.get(target, [])]
    if target in ("SOURCE", "ADAPTER"):
        tensors = model if target == "SOURCE" else lora
        files = [safetensors({k: list(s) for k, s in tensors.items()})] if target == "SOURCE" else []
        files += [Pickle(tensors, legacy).file() for legacy in (False, True)]
    for i, data in enumerate(files):
        (folder / f"seed{i}").write_bytes(data)
    if target == "AUDIO" and not (folder / "seed.amr").exists():
        assert shutil.which("ffmpeg"), "ffmpeg is missing"
        recordings()


if __name__ == "__main__":
    main()
