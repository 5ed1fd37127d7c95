"""f5_edit and f5_remove_silence: what is kept is the recording's own, and upstream's rules decide what that is."""
import ctypes
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

import cbind
import f5lib
import signals

JOIN = 360  # samples of a cross-fade: 15 ms
TEXT = "Some words of a recording."
NFE = 2


@pytest.fixture(scope="module")
def engine(model):
    with f5lib.Engine(model, max_frames=512) as e:
        yield e


@pytest.fixture
def recording(rng):
    """2.105 s, not a whole number of frames; loud enough to be left as it is."""
    return rng.uniform(-0.4, 0.4, 50520).astype(np.float32)


def frame(seconds):
    return round(seconds * 24000 / 256)  # Python's, as upstream's


EDITS = {
    "one": [(0.5, 1.0, 0)],
    "shrinking": [(0.5, 1.5, 0.1)],
    "growing": [(0.503, 0.61, 1.234)],
    "several": [(0.2, 0.4, 0.6), (0.9, 1.3, 0.05), (1.5, 1.7, 0)],
    "at the start": [(0, 0.31, 0.5)],
    "at the end": [(1.7, 2.105, 0.2)],
    "at both ends": [(0, 0.3, 0), (1.9, 2.105, 0.7)],
    "to a frame before the end": [(1.5, 2.09, 0.5)],
    "inserted": [(1.0, 1.0, 0.4)],
    "put before": [(0, 0, 0.4)],
    "put behind": [(2.105, 2.105, 0.4)],
    "side by side": [(0.4, 0.8, 0.3), (0.8, 1.1, 0.6)],
}


def plan(edits, samples):
    """(cond positions kept, recording frames kept, edited frames; and of samples [(from, to, made)])."""
    total, read, at, kept, of, pieces = len(samples) // 256 + 1, 0, 0, [], [], []
    for start, end, duration in edits:
        a, b, made = frame(start), min(frame(end), total), frame(duration or end - start)
        kept += range(at, at + a - read)
        of += range(read, a)
        at, read = at + a - read + made, b
        ends = [len(samples) if round(t * 24000) >= len(samples) else min(256 * f, len(samples))
                for t, f in ((start, a), (end, b))]
        pieces.append((*ends, 256 * made))
    return kept + list(range(at, at + total - read)), of + list(range(read, total)), at + total - read, pieces


def sounding(engine, mel, exact, first, last):
    """Samples of a mel by the model level; the vocoder sees the first frame 8 and the last one 27 times more, and an end
    that was made anew fades; or they are upstream's."""
    if exact:
        return engine.vocode(mel)
    seen = np.concatenate([np.repeat(mel[:1], 8, 0), mel, np.repeat(mel[-1:], 27, 0)])
    samples = engine.vocode(seen)[256 * 8:256 * (8 + len(mel) - 1)].copy()
    rising = np.arange(120, dtype=np.float32) / np.float32(120)
    if first:
        samples[:120] *= rising
    if last:
        samples[last - 120:last] *= rising[::-1]
    return samples


@pytest.mark.parametrize("exact", [0, 1])
@pytest.mark.parametrize("name", EDITS)
def test_edits(engine, recording, rng, name, exact):
    """The mel is what the model level makes of the same frames, mask and noise; kept frames are the recording's; and so
    are all samples outside the edits."""
    kept, of, frames, pieces = plan(EDITS[name], recording)
    noise = rng.standard_normal((frames + 1, 100)).astype(np.float32)
    made, mel, stats = engine.edit(recording, TEXT, EDITS[name], sample=dict(nfe=NFE), noise=noise, exact=exact)
    original = engine.mel(recording)
    assert mel.shape == (frames + 1, 100) and np.array_equal(mel[kept], original[of])
    cond, mask = np.zeros((frames, 100), np.float32), np.zeros(frames, np.uint8)
    cond[kept], mask[kept] = original[of], 1
    wanted, = engine.sample([dict(cond=cond, tokens=engine.tokenize(TEXT), frames=frames, edit_mask=mask, noise=noise)],
                            nfe=NFE)
    assert np.array_equal(mel, wanted)
    at_end = len(made) if pieces[-1][1] == len(recording) else 0
    generated = sounding(engine, mel, exact, pieces[0][0] == 0, at_end)

    at = read = 0
    for i, (start, end, length) in enumerate(pieces):
        piece = start - read
        assert np.array_equal(made[at:at + piece], recording[read:start])
        at, read = at + piece, end
        follows = pieces[i + 1][0] if i + 1 < len(pieces) else len(recording)
        inside = slice(at + JOIN * (piece > 0), at + length - JOIN * (follows > end))
        assert inside.stop - inside.start > 0 and np.array_equal(made[inside], generated[inside])
        rise, under = np.sin(np.pi / 2 * np.arange(1, JOIN + 1) / (JOIN + 1)) ** 2, np.zeros(JOIN)
        before, after = recording[start:start + JOIN], recording[max(0, end - JOIN):end][::-1]
        for joins, fade, sound in ((piece > 0, slice(at, at + JOIN), before),
                                   (follows > end, slice(at + length - 1, at + length - 1 - JOIN, -1), after)):
            under[:len(sound)], under[len(sound):] = sound, 0
            if joins:
                assert np.abs(made[fade] - (under * (1 - rise) + generated[fade] * rise)).max() < 1e-6  # float's rounding
        at += length
    assert np.array_equal(made[at:], recording[read:]) and len(made) == at + len(recording) - read
    seconds = sum(p[2] for p in pieces) / 24000
    assert stats["generated_seconds"] == seconds and stats["frames"] == frames + 1
    assert abs(stats["reference_seconds"] + seconds - len(made) / 24000) < 1e-9


def test_without_noise_the_seed_decides(engine, recording):
    first, again, other = (engine.edit(recording, TEXT, EDITS["one"], sample=dict(nfe=NFE), seed=s)[0] for s in (3, 3, 4))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_quiet_recording_keeps_its_level(engine, recording, rng):
    """It is raised for the model only."""
    quiet, (start, end, _) = recording * np.float32(0.125), EDITS["one"][0]
    _, _, frames, _ = plan(EDITS["one"], recording)
    noise = rng.standard_normal((frames + 1, 100)).astype(np.float32)
    settings = dict(sample=dict(nfe=NFE), noise=noise, target_rms=0.5)
    loud_made, loud_mel, _ = engine.edit(recording, TEXT, EDITS["one"], **settings)
    made, mel, _ = engine.edit(quiet, TEXT, EDITS["one"], **settings)
    assert np.linalg.norm(mel - loud_mel) < 1e-4 * np.linalg.norm(loud_mel)  # an eighth is exact, the raising rounds
    assert np.array_equal(made[:256 * frame(start)], quiet[:256 * frame(start)])
    assert np.array_equal(made[256 * frame(end):], quiet[256 * frame(end):])
    assert np.linalg.norm(made * 8 - loud_made) < 1e-3 * np.linalg.norm(loud_made)


def test_channels_and_rates(engine, recording):
    stereo = np.stack([recording, np.zeros_like(recording)], 1).ravel()
    made, _, _ = engine.edit(stereo, TEXT, EDITS["one"], channels=2, sample=dict(nfe=NFE))
    assert np.array_equal(made[:256 * frame(0.5)], recording[:256 * frame(0.5)] / 2)

    def half(_, x, n, rate_in, rate_out, out, capacity):
        assert (rate_in, rate_out) == (48000, 24000)
        for i in range(n // 2):
            out[i] = x[2 * i]
        return n // 2

    doubled, _, _ = engine.edit(np.repeat(recording, 2), TEXT, EDITS["one"], sample_rate=48000, resample=half,
                                sample=dict(nfe=NFE))
    assert np.array_equal(doubled, engine.edit(recording, TEXT, EDITS["one"], sample=dict(nfe=NFE))[0])


def test_the_text_is_folded(engine, recording):
    """As a transcript is: what the model cannot say is left out, with a warning."""
    settings, warned = dict(edits=EDITS["one"], sample=dict(nfe=NFE)), []
    plain = engine.edit(recording, "Some words of a recording.", warned=warned, **settings)[0]
    assert not warned
    assert np.array_equal(engine.edit(recording, "Some words ⓞf a rec\u00adording.", warned=warned, **settings)[0], plain)
    assert not warned
    assert np.array_equal(engine.edit(recording, "Some words of a recording. 🎉", warned=warned, **settings)[0], plain)
    (kind, message), = warned
    assert kind == f5lib.header().constants["F5_WARNING_CHARACTERS"] and "U+1F389" in message


def test_a_cancelled_edit(engine, recording):
    with pytest.raises(KeyboardInterrupt):
        engine.edit(recording, TEXT, EDITS["one"], sample=dict(nfe=NFE), heard=interrupt)
    engine.edit(recording, TEXT, EDITS["one"], sample=dict(nfe=NFE))


def interrupt():
    raise KeyboardInterrupt


BAD = {
    "no edits": (dict(edits=[]), "0 edits: must be 1 to 256"),
    "too many": (dict(edits=[(0.5, 1.0, 0)] * 257), "257 edits"),
    "backwards": (dict(edits=[(1.0, 0.5, 0)]), "edit 1 goes from 1 s to 0.5 s: must go forward"),
    "before the start": (dict(edits=[(-0.1, 0.5, 0)]), "edit 1 goes from -0.1 s"),
    "not a number": (dict(edits=[(float("nan"), 0.5, 0)]), "edit 1 goes from -?nan s"),
    "behind the end": (dict(edits=[(1.0, 2.2, 0)]), r"edit 1 ends at 2.2 s, the recording at 2.1050 s"),
    "endless": (dict(edits=[(1.0, float("inf"), 0)]), "edit 1 goes from 1 s to inf s"),
    "overlapping": (dict(edits=[(0.5, 1.0, 0), (0.9, 1.2, 0)]), "edit 2 begins at 0.9 s, inside or before edit 1"),
    "out of order": (dict(edits=[(1.5, 1.7, 0), (0.5, 0.7, 0)]), "edit 2 begins at 0.5 s"),
    "negative duration": (dict(edits=[(0.5, 1.0, -1)]), "edit 1 shall last -1 s"),
    "duration no number": (dict(edits=[(0.5, 1.0, float("nan"))]), "edit 1 shall last -?nan s"),
    "huge duration": (dict(edits=[(0.5, 1.0, 1e9)]), r"edit 1 shall last 1e\+09 s: must be 0 \(as it was\) to 600 s"),
    "too short": (dict(edits=[(0.5, 1.0, 0.04)]), "edit 1 shall last 0.04 s: at least 0.05 s are needed$"),
    "inserting nothing": (dict(edits=[(0.5, 0.5, 0)]), "at least 0.05 s are needed; an insertion needs a duration"),
    "nothing is kept": (dict(edits=[(0, 2.105, 0)]), "the edits leave 0.000 s of the recording"),
    "blank": (dict(text=" \n"), "the text of the edit is empty"),
    "unsayable": (dict(text="🎉 🎉"), "the model can say nothing of the text: .*U.1F389"),
    "no text": (dict(text=None), "the text of the edit is empty"),
    "malformed": (dict(text=b"Some \xff"), "text: malformed UTF-8 at byte 5"),
    "too fast": (dict(text="word " * 50), "the text has 250 tokens, the edited recording 198 frames"),
    "too long": (dict(edits=[(0.5, 1.0, 4.9)]), "frames .* max_frames given at open is 512"),
    "wrong noise": (dict(noise=np.zeros((7, 100))), "the noise given has 7 frames, this edit takes 199"),
    "loudness": (dict(target_rms=0), "target_rms 0"),
    "empty": (dict(samples=np.zeros(0)), "the recording holds no samples"),
    "silent": (dict(samples=np.zeros(48000)), "the recording is silent"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_edited(engine, recording, name):
    changed, reason = BAD[name]
    with pytest.raises(f5lib.Error) as error:
        engine.edit(**{**dict(samples=recording, text=TEXT, edits=EDITS["one"], sample=dict(nfe=NFE)), **changed})
    assert re.search(reason, error.value.message), error.value
    engine.edit(recording, TEXT, EDITS["one"], sample=dict(nfe=1))  # the engine is as good as before


def test_joins_do_not_click():
    """Two slow sounds that are far apart where they meet: no step is much larger than their own."""
    lib = cbind.library()
    lib.splice_samples.restype = ctypes.c_int64
    time = np.arange(24000) / 24000
    recording = (0.5 * np.cos(2 * np.pi * 40 * time)).astype(np.float32)
    generated = (-0.5 * np.cos(2 * np.pi * 31 * np.arange(30000) / 24000 + 0.3)).astype(np.float32)
    edits = np.array([[0, 2560, 5120], [7680, 8960, 768], [20480, 24000, 3840]], np.int64)
    n = lib.splice_samples(ctypes.c_int64(len(recording)), edits.ctypes.data_as(ctypes.c_void_p), 3)
    out = np.full(n, np.nan, np.float32)
    lib.splice(recording.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(recording)),
               generated.ctypes.data_as(ctypes.c_void_p), edits.ctypes.data_as(ctypes.c_void_p), 3,
               out.ctypes.data_as(ctypes.c_void_p))
    assert n == 24000 + 5120 - 2560 + 768 - 1280 + 3840 - 3520
    steps = np.abs(np.diff(out))
    own = max(np.abs(np.diff(recording)).max(), np.abs(np.diff(generated)).max())
    # a fade over 360 samples turns a distance of 1 by at most pi / 2 / 360 a sample
    assert steps.max() < own + np.pi / 2 / JOIN, steps.argmax()
    hard = [abs(recording[2560] - generated[5119]), abs(generated[10240] - recording[7679])]
    assert max(hard) > 10 * steps.max(), "a hard cut would click"


# ---- silence

def test_silence_is_removed_as_upstream_does():
    """Lengths and checksums of what pydub left of these signals (tests/reference/compare_speech.py --golden)."""
    golden = json.loads((Path(__file__).parent / "data/silence_golden.json").read_text())["cases"]
    assert len(golden) >= 40
    for case in golden:
        samples = signals.bursts(case["seed"])[1][:, 0]
        kept = np.rint(f5lib.remove_silence(samples / np.float32(32768)) * 32768).astype("<i2")
        assert (len(kept), zlib.crc32(kept.tobytes())) == (case["samples"], case["crc32"]), case["seed"]


def test_silence_in_place_and_refusals(rng):
    loud = rng.uniform(-0.1, 0.1, 24000).astype(np.float32)
    speech = np.concatenate([np.zeros(60000, np.float32), loud, np.zeros(72000, np.float32), loud])
    n, room = ctypes.c_int64(), np.concatenate([speech, np.zeros(12, np.float32)])
    f5lib.call("f5_remove_silence", room.ctypes.data, len(speech), room.ctypes.data, ctypes.addressof(n))
    assert n.value == 12000 + 24000 + 24000 + 24000 and np.array_equal(room[:n.value], f5lib.remove_silence(speech))
    assert np.array_equal(room[12000:36000], loud) and np.array_equal(room[60000:84000], loud)
    assert len(f5lib.remove_silence(np.zeros(0))) == 0 and len(f5lib.remove_silence(np.zeros(30000))) == 0
    for n_in, n_out in ((12, 0), (13, 24), (24, 24), (36, 48), (59, 48)):  # whole milliseconds, halves to even
        assert np.array_equal(f5lib.remove_silence(loud[:n_in]), np.append(loud[:n_in], np.zeros(12, np.float32))[:n_out])
    with pytest.raises(f5lib.Error, match="sample 5 is not a finite number"):
        f5lib.remove_silence(np.where(np.arange(9) == 5, np.inf, 0))
    for pointer, length in ((None, 5), (room.ctypes.data, -1)):
        with pytest.raises(f5lib.Error):
            f5lib.call("f5_remove_silence", pointer, length, room.ctypes.data, ctypes.addressof(n))
