"""speech_cases.py — texts, voices and settings on which whole outputs are compared with upstream's (NumPy only).

A case is a dict, made from its number alone:
    model     a name in MODELS
    voices    name -> dict(seed, seconds, level, transcript, and optionally rate, speed); the first is "main"
    text      with [name] tags where there are several voices
    cli       upstream's side is its whole command line (recordings are cut, segments joined), else infer_process
    edits     of a case of speech editing: [(start, end, duration)] of the one voice's recording
    settings  speed, cross_fade_duration, fix_duration (0: none), target_rms, nfe, cfg, remove_silence
RandomState's stream is frozen by NumPy, so that a number means the same case everywhere.
"""
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "weights"))
import random_checkpoint  # noqa: E402

V0 = dict(text_mask_padding=False, pe_attn_head=1)
MODELS = {  # "emilia" has upstream's own vocabulary, which is not here; the others have vocabulary()
    "latin": dict(seed=11, dim=64, depth=2, heads=1, conv_layers=1, text_dim=32),
    "chinese": dict(seed=12, dim=64, depth=2, heads=1, conv_layers=1, text_dim=48, **V0),
    "emilia": dict(seed=13, dim=128, depth=2, heads=2, conv_layers=1, text_dim=48, **V0),
}
SETTINGS = dict(speed=1.0, cross_fade_duration=0.15, fix_duration=0.0, target_rms=0.1, nfe=2, cfg=2.0,
                remove_silence=False)
WORDS = ("the harbour lay still at dawn and nobody spoke we waited over four hours here twenty-two boats "
         "gulls hungry it costs more co-op e.g. Mr. O'Neil said wait... what -- left 10:30 a.m. on v2.0.1 café naïve "
         "don't stop Anna's AT&T C++ 3.14 50% a I").split()
CHINESE = ("今天天气很好 我们去公园散步 银行行长说不行 一个人走了很长的路 你好 老虎和狮子 重庆的重量 不是不可以 一点一滴 音乐快乐 "
           "AI模型 用GPU跑 第3章 苹果iPhone手机 展览馆里有很多老古董 雨 他还没还书 苹果、雨 等等…好").split()
# Below ten bytes upstream's pace is 0.3 whatever was asked; ours is what was asked. So where a speed is asked for, no
# chunk is that short.
LONG_ENOUGH = 13
LATIN_STOPS = [".", ".", "!", "?", ",", ";", ":", "...", "?!"]
CHINESE_STOPS = list("。，！？；：") + [". "]
SPACES = [" ", " ", " ", "  ", "\n", "\r\n", "\n\n", "\t", "\u3000"]  # after a stop of ASCII, where they are dropped
INNER_SPACES = [" ", "\n", "\t"]  # anywhere else, where they are spoken as a space


def vocabulary():
    """All that the cases below are made of: ASCII, some letters and stops, and every syllable of pinyin, and more."""
    initials = [""] + "b p m f d t n l g k h j q x zh ch sh r z c s y w".split()
    finals = ("a o e i u v ai ei ao ou an en ang eng ong er ia ie iao iu ian in iang ing iong ua uo uai ui uan un uang ue "
              "ve").split()
    return ([" "] + [chr(c) for c in range(33, 127)] + list("éïñ，。！？：；、…")
            + [i + f + t for i in initials for f in finals for t in ("", "1", "2", "3", "4")])


def checkpoint(folder, name, emilia=None):
    """Upstream's files of that model (random_checkpoint.make_checkpoint); emilia: the path of that vocab.txt. The text
    and what the blocks make of it are louder than drawn: one character changes the wave by about 1e-3."""
    vocab = emilia if name == "emilia" else vocabulary()
    made = random_checkpoint.make_checkpoint(folder, arch="tiny", vocab=vocab, **MODELS[name])
    for key, values in made["model"].items():
        if key.endswith("input_embed.proj.weight"):
            values[:, 200:] *= np.float32(6)
        elif key.endswith(("attn_norm.linear.weight", "proj_out.weight")):
            values *= np.float32(8)
    random_checkpoint.write_acoustic(Path(made["checkpoint"]), made["model"], "safetensors", "fp32")
    return made


# In `make test`, against what upstream made of them (tests/data/speech_golden.npz).
GOLDEN = (4, 6, 7, 9, 21, 33, 37, 38, 55, 67)
GOLDEN_SAMPLES = 4000  # kept of each: evenly spaced ones of the whole wave


def spaced(wave):
    """Evenly spaced samples of a wave, float32; their distance is odd, so that no period of the hop hides anything."""
    return np.asarray(wave[::len(wave) // GOLDEN_SAMPLES | 1], np.float32)


def pick(rng, items):
    return items[rng.randint(len(items))]


# ---- recordings

def recording(seed, seconds, level, rate=24000, **_):
    """Noise with the rhythm of syllables, int16 [n]; its rms is `level` of full scale. Never silent for 0.2 s."""
    rng = np.random.RandomState(seed)
    n = int(seconds * rate)
    time = np.arange(n) / rate
    wave = np.convolve(rng.standard_normal(n + 8), np.hanning(9), "valid")
    wave *= 0.25 + np.sin(2 * np.pi * (2.1 + rng.rand()) * time + rng.rand()) ** 2
    wave += 0.6 * np.sin(2 * np.pi * (110 + 90 * rng.rand()) * time)
    wave *= level / np.sqrt((wave ** 2).mean())
    return np.clip(np.rint(wave * 32768), -32768, 32767).astype(np.int16)


def noise(case_number, chunk, frames):
    """The initial state of one chunk, float32 [frames,100]; chunks are counted over all segments."""
    return np.random.RandomState([case_number, chunk]).standard_normal((frames, 100)).astype(np.float32)


# ---- texts

def latin_sentence(rng, bytes_wanted, whole):
    """whole: no stop is inside it."""
    known = [w for w in WORDS if not (whole and w.endswith("."))]
    text = pick(rng, known)
    while len(text.encode()) < bytes_wanted:
        text += pick(rng, [" "] * 14 + ["\n", "  ", " " if whole else ", ", " “", "” ", "’"]) + pick(rng, known)
    return text + pick(rng, LATIN_STOPS)


def chinese_sentence(rng, bytes_wanted, _):
    text = pick(rng, CHINESE)
    while len(text.encode()) < bytes_wanted:
        text += pick(rng, CHINESE)
    return text + pick(rng, CHINESE_STOPS)


LAST_WORD = 36  # bytes by which a sentence may be longer than was wanted


def text_of(rng, chinese, bytes_wanted, sentence_bytes, least=3):
    """Sentences of `least` to about sentence_bytes; of a Chinese text one in five is Latin."""
    text = ""
    while len(text.encode()) < bytes_wanted:
        eastern = chinese and rng.randint(5) > 0
        wanted = least + rng.randint(max(4, sentence_bytes - least))
        text += (chinese_sentence if eastern else latin_sentence)(rng, wanted, least >= LONG_ENOUGH)
        after_ascii = len(text.rstrip()[-1].encode()) == 1
        text += pick(rng, SPACES) if after_ascii else pick(rng, INNER_SPACES) if rng.randint(6) == 0 else ""
    return text


# ---- cases

def voice_of(rng, seconds, chinese, pace=14.0):
    """pace: bytes of the transcript a second."""
    level = pick(rng, [0.25, 0.15, 0.08, 0.03])
    transcript = " ".join(text_of(rng, chinese, max(4, int(seconds * pace)), 40).split())  # unlike a text it is not cut
    return dict(seed=int(rng.randint(1 << 30)), seconds=seconds, level=level, transcript=transcript + pick(
        rng, [". ", ".", "", "。"]))


def chunk_bytes(voice, speed):
    """About how much one chunk holds."""
    return max(1, len(voice["transcript"].encode()) / voice["seconds"] * (22 - voice["seconds"]) * speed)


SHAPES = [  # (chunks wanted, seconds of the reference, other settings)
    (1, 2.0, {}), (1, 3.3, dict(speed=0.5)), (1, 4.0, dict(speed=2.0)), (1, 2.5, dict(fix_duration=6.1)),
    (1, 1.4, dict(fix_duration=1.7)), (2, 12.3, {}), (2, 15.0, dict(cross_fade_duration=0.0)),
    (2, 17.0, dict(cross_fade_duration=0.5, speed=0.8)), (3, 18.0, dict(speed=1.3)), (3, 16.0, dict(fix_duration=23.7)),
    (4, 19.0, dict(cross_fade_duration=0.5)), (4, 18.5, dict(fix_duration=24.0, cross_fade_duration=0.0)),
    (5, 19.5, dict(cross_fade_duration=2.0)), (5, 18.0, dict(fix_duration=22.5, cross_fade_duration=1.7)),
    (6, 20.5, dict(cross_fade_duration=1.0)), (6, 20.0, dict(speed=0.7)), (7, 20.4, dict(fix_duration=21.3)),
    (8, 21.0, dict(cross_fade_duration=1.9, speed=1.6)), (9, 20.8, {}), (4, 22.6, dict(cross_fade_duration=0.29)),
    (3, 20.2, dict(cross_fade_duration=0.00004)), (3, 20.0, dict(cross_fade_duration=0.00005)), (2, 20.0, dict(nfe=4)),
    (1, 0.9, dict(short=True)), (2, 17.0, dict(short=True, speed=0.3)), (5, 19.5, dict(short=True)),
]


def plain_case(number, shape, chinese):
    rng = np.random.RandomState([7, number])
    chunks, seconds, settings = shape
    settings = dict(settings)
    short = settings.pop("short", False)
    # no sentence is longer than a chunk may be: upstream would speak it whole, we cut it between words
    least = 3 if settings.get("speed", 1) == 1 else LONG_ENOUGH
    needed = (least + LAST_WORD + 12) / settings.get("speed", 1) / (22 - seconds) if seconds < 22 else 0
    voice = voice_of(rng, seconds, chinese, pace=max(needed, pick(rng, [9.0, 14.0])))
    room = chunk_bytes(voice, settings.get("speed", 1))
    if short:  # chunks below ten bytes
        text = "Hi! " if chunks == 1 else text_of(rng, chinese, chunks * room / 2, int(room - LAST_WORD)) + " Hi!"
    else:
        room = max(room, 60)  # a reference over 22 s leaves no room: every sentence is a chunk
        text = text_of(rng, chinese, min(room * (chunks - 0.5), 1500), int(min(room - LAST_WORD, 120)), least)
    settings.setdefault("cfg", pick(rng, [2.0, 0.0]))
    return dict(number=number, model="chinese" if chinese else "latin", voices=dict(main=voice), text=text, cli=False,
                settings={**SETTINGS, **settings})


CLI_TAGS = ["town", "main", "country", "nobody", "主", "voz_ñ", "1"]


def cli_case(number, chinese):
    """Two or three voices below 12 s, cut as upstream cuts them; a voice may be quiet enough to count as silence."""
    rng = np.random.RandomState([8, number])
    names = ["main", "town", "country", "主"][:2 + rng.randint(3)]
    voices = {}
    for name in names:
        voices[name] = voice_of(rng, pick(rng, [1.2, 2.5, 5.0, 9.0]), chinese and rng.randint(3) > 0)
        if name != "main" and rng.randint(2):
            voices[name]["speed"] = pick(rng, [0.5, 0.8, 1.5, 2.0])
    text, tags = "", 2 + rng.randint(4)
    for i in range(tags):
        if i > 0 or rng.randint(2):
            text += f"[{pick(rng, CLI_TAGS)}]" + pick(rng, ["", " ", "\n"])
        text += text_of(rng, chinese, 4 + rng.randint(90), 60, LONG_ENOUGH) + pick(rng, ["", "\n", "[a b and c] "])
    settings = dict(speed=pick(rng, [1.0, 1.0, 0.5, 1.7]), cross_fade_duration=pick(rng, [0.15, 0.5, 0.0]),
                    cfg=pick(rng, [2.0, 0.0]), remove_silence=bool(rng.randint(2)))
    if rng.randint(4) == 0:
        settings["fix_duration"] = 12.5
    if settings["remove_silence"]:  # the quiet voice's speech falls below -50 dBFS
        settings["target_rms"] = 1.0
        voices[names[-1]]["level"] = 0.012
    return dict(number=number, model="emilia" if chinese else "latin", voices=voices, text=text, cli=True,
                settings={**SETTINGS, **settings})


def in_emilia(case):
    """The case without the stops that upstream's vocabulary lacks, which it speaks as a space and we fold."""
    case["text"] = case["text"].replace("；", "。").replace("：", "，")
    for v in case["voices"].values():
        v["transcript"] = v["transcript"].replace("；", "。").replace("：", "，")
    return case


def cases():
    made = []
    for chinese in (False, True):
        for shape in SHAPES:
            made.append(plain_case(len(made), shape, chinese))
    rate = plain_case(len(made), (3, 17.0, {}), False)  # max_chars counts the file's own seconds
    rate["voices"]["main"]["rate"] = 16000
    made.append(rate)
    for i in range(20):
        made.append(cli_case(len(made), i % 2 == 1))
    made += edit_cases(len(made))
    return [in_emilia(c) if c["model"] == "emilia" else c for c in made]


EDITS = [  # (seconds of the recording, [(start, end, duration)])
    (3.0, [(1.0, 1.6, 0.0)]), (3.01, [(0.0, 0.7, 1.9)]), (2.5, [(2.0, 2.5, 0.8)]), (4.3, [(0.71, 1.3, 0.2), (2.0, 3.1, 2.4)]),
    (5.0, [(0.0, 0.4, 0.5), (1.1, 1.7, 0.0), (1.7, 2.2, 0.06), (4.1, 5.0, 1.0)]), (2.2, [(1.1, 1.1, 0.7)]),
    (3.3, [(1.42, 2.44, 1.2), (3.0, 3.0, 0.3)]),
]


def edit_cases(first):
    made = []
    for chinese in (False, True):
        for seconds, edits in EDITS:
            rng = np.random.RandomState([9, len(made)])
            voice = voice_of(rng, seconds, chinese)
            made.append(dict(number=first + len(made), model="emilia" if chinese else "latin", edits=edits, cli=False,
                             voices=dict(main=voice), text=text_of(rng, chinese, int(seconds * 13), 40).strip(),
                             settings={**SETTINGS, "cfg": pick(rng, [2.0, 0.0])}))
    return made
