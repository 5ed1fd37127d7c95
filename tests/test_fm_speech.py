"""Flow-Matching-TTS speaks: texts of IPA or of words in the model's one voice, at its own rate, by the library and by
`f5tts infer`. The parts (durations, mels, waves) are held to their reference in test_fm_tts.py."""
import json
import os
import re
import subprocess

import numpy as np
import pytest

import encoder_lib
import f5lib
import test_fm_tts

IPA = "həlˈoʊ wˈɜːld."
LONG = " ".join(f"ðɪs ɪz sˈɛntəns nˈʌmbɚ {word}, ænd ɪt ɡˈoʊz ˈɔn." for word in ("wˈʌn", "tˈuː", "θɹˈiː", "fˈoːɹ", "fˈaɪv", "sˈɪks", "sˈɛvən", "ˈeɪt", "nˈaɪn"))


SHIPPED = str(f5lib.SHIPPED)


def read_wav(path):
    """(rate, samples) of 16-bit or float WAV."""
    data = path.read_bytes()
    at = data.index(b"data") + 8
    return int.from_bytes(data[24:28], "little"), np.frombuffer(data[at:], "<f4" if data[20] == 3 else "<i2")


def make_model(folder, seed, form="bands", louder=-6, durations=True):
    """A random one. louder: of the vocoder, a logarithm; as it is, it is quiet enough for a sound file."""
    vocoder = test_fm_tts.mb_istft.random_weights(seed, form)
    last = "dec.subband_conv_post.bias" if form == "bands" else "dec.conv_post.bias"
    vocoder[last] = vocoder[last] + louder
    weights = test_fm_tts.fm_tts.random_weights(seed, layers=1, durations=durations)
    if durations:
        weights = test_fm_tts.fm_tts.even_pace(weights, 1.0)
    path, done = test_fm_tts.convert(folder, weights,
                                     test_fm_tts.fm_tts.config(layers=1, durations=durations), vocoder=vocoder)
    assert done.returncode == 0, done.stderr
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory, seed):
    return make_model(tmp_path_factory.mktemp("fm"), seed)


@pytest.fixture(scope="module")
def coded_model(tmp_path_factory, seed):
    """Of the vocoder as coded: 64 samples a frame."""
    return make_model(tmp_path_factory.mktemp("coded"), seed, "coded")


@pytest.fixture(scope="module")
def even_model(tmp_path_factory, seed):
    """Of one pace: it predicts no durations."""
    return make_model(tmp_path_factory.mktemp("even"), seed, durations=False)


@pytest.fixture(scope="module")
def engine(model):
    with f5lib.Engine(model, max_frames=4000, max_batch=4, poison=1) as e:
        yield e


def samples_of(pieces):
    return np.concatenate([p["samples"] for p in pieces])


def by_hand(engine, ipa, speed=1.0, nfe=3, seed=5):
    """What a text of one chunk must be: (mel, samples)."""
    tokens = engine.tokenize(ipa)
    frames = max(len(tokens), engine.predict_frames(tokens, 1 / speed))
    mel = engine.sample([dict(tokens=tokens, frames=frames, seed=seed)], nfe=nfe)[0]
    return mel, engine.vocode(mel)


@pytest.mark.parametrize("speed", [0, 0.5, 2.0])
def test_speech_is_its_parts(engine, speed):
    mel, samples = by_hand(engine, IPA, speed or 1)
    pieces, stats = engine.say(None, IPA, speed=speed, seed=5, exact=1, sample=dict(nfe=3))
    assert np.array_equal(pieces[0]["mel"], mel) and np.array_equal(samples_of(pieces), samples)
    assert stats["frames"] == len(mel) and stats["reference_seconds"] == 0
    assert abs(stats["generated_seconds"] - len(samples) / 22050) < 1e-9
    assert engine.show_text(None, IPA, speed=speed)[0]["frames"] == len(mel)


def test_ends_fade(engine):
    _, samples = by_hand(engine, IPA)
    heard = samples_of(engine.say(None, IPA, seed=5, sample=dict(nfe=3))[0])
    assert heard[0] == 0 and np.array_equal(heard[200:-200], samples[200:-200])


def test_a_long_text_is_several_chunks(engine):
    said = engine.show_text(None, LONG)
    assert len(said) > 1 and all(s["frames"] <= 4000 for s in said)
    pieces, stats = engine.say(None, LONG, seed=5, sample=dict(nfe=1))
    assert stats["chunks"] == len(said) and stats["frames"] == sum(s["frames"] for s in said)
    marks = [mark for piece in pieces for mark in piece["marks"]]
    assert len(marks) == 9 and marks[-1]["end"] <= stats["generated_seconds"] + 1e-6
    again = engine.say(None, LONG, seed=5, sample=dict(nfe=1))[0]
    assert np.array_equal(samples_of(pieces), samples_of(again))


def test_streamed_is_the_same(engine):
    whole = samples_of(engine.say(None, LONG, seed=5, sample=dict(nfe=1))[0])
    with engine.stream(None, seed=5, sample=dict(nfe=1)) as stream:
        text = LONG.encode()
        for at in range(0, len(text), 50):
            stream.push(text[at:at + 50])
        stream.flush()
        assert np.array_equal(samples_of(stream.pieces), whole)


def test_pauses_and_a_length_that_is_given(engine):
    pieces, _ = engine.say(None, f"[pause 0.5s] {IPA}", seed=5, exact=1, sample=dict(nfe=1))
    assert np.array_equal(samples_of(pieces)[:11025], np.zeros(11025, np.float32)) and len(samples_of(pieces)) > 11025
    _, stats = engine.say(None, IPA, fix_duration=3.0, sample=dict(nfe=1))
    assert stats["frames"] == 3 * 22050 // 256


def test_white_space_is_one_space(engine):
    want = engine.tokenize("həlˈoʊ wˈɜːld")
    for white in ("\n", "\t", "\r"):
        assert np.array_equal(engine.tokenize(f"həlˈoʊ{white}wˈɜːld"), want)
    pieces, _ = engine.say(None, "həlˈoʊ wˈɜːld", seed=5, sample=dict(nfe=1))
    for white in ("\n", "\n\n", " \t ", "  ", "\r\n \r\n", "\u00a0", "\u2029"):
        said, = engine.show_text(None, f"həlˈoʊ{white}wˈɜːld")
        assert (said["text"], said["tokens"]) == ("həlˈoʊ wˈɜːld", len(want)), repr(white)
        again = engine.say(None, f"həlˈoʊ{white}wˈɜːld", seed=5, sample=dict(nfe=1))[0]
        assert np.array_equal(samples_of(again), samples_of(pieces)), repr(white)
    said, = engine.show_text(None, "<speak><s>həlˈoʊ</s>\n <s>wˈɜːld</s></speak>", ssml=1)
    assert (said["text"], said["tokens"]) == ("həlˈoʊ wˈɜːld", len(want))


def test_a_length_that_is_given_of_64_samples_a_frame(coded_model):
    with f5lib.Engine(coded_model, max_frames=1200) as e:
        _, stats = e.say(None, IPA, fix_duration=3.0, sample=dict(nfe=1))
        assert stats["frames"] == 3 * 22050 // 64 and abs(stats["generated_seconds"] - 3) < 0.01
        with pytest.raises(f5lib.Error, match=r"1722 frames \(5.0 s\)"):
            e.say(None, IPA, fix_duration=5.0)


def test_one_pace(even_model):
    with f5lib.Engine(even_model, max_frames=1200) as e:
        assert e.show_text(None, IPA, speed=1)[0]["frames"] == 5 * len(e.tokenize(IPA))
        for text, settings in ((IPA, dict(speed=2)), (f'<speak><prosody rate="2">{IPA}</prosody></speak>', dict(ssml=1))):
            with pytest.raises(f5lib.Error, match="speed: .* predicts no durations: its speech has one pace"):
                e.show_text(None, text, **settings)


def test_speed_times_rate_has_a_limit(engine):
    said, = engine.show_text(None, f'<speak><prosody rate="10">{IPA}</prosody></speak>', ssml=1, speed=50)
    tokens = engine.tokenize(IPA)
    assert said["frames"] == max(len(tokens), engine.predict_frames(tokens, 0.01))


def test_an_unknown_characters_place_is_that_in_the_text(engine):
    text = "Hello there my friend, this is a long story of 你 and me."
    warned = []
    engine.show_text(None, text, warned=warned, phonemes=lambda words: f"{LONG[:80]} 你.".encode())
    assert "(at byte %d)" % text.encode().index("你".encode()) in warned[0][1], warned


@pytest.mark.parametrize("answer,status,message", [
    (4, "F5_E_FORMAT", "phonemes: the function failed with 4"), (77, "F5_E_ARGUMENT", "phonemes: the function failed with 77"),
    (-1, "F5_E_ARGUMENT", "phonemes: the function failed with -1"),
    (b"h\xff\xfe", "F5_E_FORMAT", "phonemes: what the function gave is no UTF-8 at byte 1")])
def test_a_function_that_fails(engine, answer, status, message):
    with pytest.raises(f5lib.Error, match=message) as told:
        engine.say(None, "Hello.", phonemes=lambda text: answer)
    assert told.value.status == status


def test_words_become_phonemes_by_the_callers_function(engine):
    asked = []

    def phonemes(text):
        asked.append(text)
        return IPA.encode()

    pieces, _ = engine.say(None, "Hello world.", seed=5, sample=dict(nfe=1), phonemes=phonemes)
    assert set(asked) == {b"Hello world."} and pieces[0]["text"] == IPA and pieces[0]["marks"][0]["text"] == "Hello world."
    assert np.array_equal(samples_of(pieces), samples_of(engine.say(None, IPA, seed=5, sample=dict(nfe=1))[0]))
    with pytest.raises(f5lib.Error, match="more bytes than there is room for"):
        engine.say(None, "Hello.", phonemes=lambda text: b"a" * 100000)


def test_what_it_refuses(engine):
    for message, run in [("nothing of the text can be said", lambda: engine.say(None, "你好。")),
                         ("is empty", lambda: engine.say(None, " ")),
                         ("max_frames given at open", lambda: engine.say(None, IPA, fix_duration=60.0)),
                         ("one voice of its own", lambda: engine.voice(np.zeros(24000, np.float32), "a.").__enter__())]:
        with pytest.raises(f5lib.Error, match=message):
            run()


def test_no_voice_is_refused_by_others():
    with f5lib.Engine(SHIPPED, max_frames=500) as e:
        for call in (e.say, e.show_text):
            with pytest.raises(f5lib.Error, match="voice"):
                call(None, "Hello.")
        with pytest.raises(f5lib.Error, match="voice"):
            with e.stream(None):
                pass


# ---- the program

def infer(model, folder, *options, text=IPA):
    return subprocess.run([test_fm_tts.PROGRAM, "infer", "-m", model, "-t", text, "-o", folder, "-w", "a.wav", "--nfe_step", "3", "--seed", "5",
                           *options], capture_output=True, text=True, timeout=600)


def test_infer_speaks_at_the_models_rate(tmp_path, model, engine):
    done = infer(model, tmp_path, "--ipa", "--exact", "--format", "wavf", "--save_mel", tmp_path / "a.npy", "--spectrogram",
                 tmp_path / "a.png", "--subtitles", tmp_path / "a.srt")
    assert done.returncode == 0 and "22050 samples a second" in done.stdout, done.stderr
    mel, samples = by_hand(engine, IPA)
    rate, written = read_wav(tmp_path / "a.wav")
    assert rate == 22050 and np.array_equal(written, samples) and np.array_equal(np.load(tmp_path / "a.npy"), mel)
    seconds = float(re.findall(r"--> 00:00:(\d\d,\d\d\d)", (tmp_path / "a.srt").read_text())[-1].replace(",", "."))
    assert abs(seconds - len(samples) / 22050) < 0.02 and (tmp_path / "a.png").stat().st_size > 100


def test_infer_at_another_rate_and_scale(tmp_path, model, engine):
    done = infer(model, tmp_path, "--ipa", "--rate", "44100", "--duration_scale", "2", "--exact")
    assert done.returncode == 0, done.stderr
    rate, written = read_wav(tmp_path / "a.wav")
    assert rate == 44100 and len(written) == 2 * len(by_hand(engine, IPA, 0.5)[1])


def test_infer_where_the_format_has_not_the_models_rate(tmp_path, model, engine):
    """Opus has no 22,050 a second: it gets 24,000 unless another is asked for."""
    seconds = len(by_hand(engine, IPA)[1]) / 22050
    for name, form, want in (("a.opus", "auto", 24000), ("a.ogg", "opus", 24000), ("a.ogg", "auto", 22050), ("a.mp3", "auto", 22050)):
        done = infer(model, tmp_path, "--ipa", "-w", name, "--format", form)
        assert done.returncode == 0, done.stderr
        told = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=sample_rate,codec_name", "-of", "csv=p=0", tmp_path / name],
                              capture_output=True, text=True, check=True).stdout.strip()
        data = (tmp_path / name).read_bytes()
        head = data.find(b"OpusHead")
        rate = int.from_bytes(data[head + 12:head + 16], "little") if head >= 0 else int(told.split(",")[1])
        assert rate == want, told
        assert head < 0 or abs(len(encoder_lib.decode(data, "opus")[0]) / 48000 - seconds) < 0.2


def test_infer_of_words(tmp_path, model):
    done = infer(model, tmp_path, "-q", text="Hello world, this is a test.")
    if done.returncode == 1 and "--ipa" in done.stderr:
        pytest.skip("no libespeak-ng here: " + done.stderr)
    assert done.returncode == 0 and read_wav(tmp_path / "a.wav")[0] == 22050, done.stderr


@pytest.mark.parametrize("options,message", [
    (("--ref_audio", "x.wav"), "takes no recording"), (("--voice", "slt"), "takes no recording"), (("--loudness", "-16"), "24000 samples"),
    (("--remove_silence",), "--remove_silence: is for speech of 24000 samples"),
    (("--ref_audio", "x.wav", "--remove_silence"), "--ref_audio: "), (("--keep_whole",), "takes no recording"), (("--target_rms", "0.2"), "takes no recording"),
    (("--transcribe", "cat {}"), "takes no recording"), (("--cfg_strength", "2"), "no guidance"), (("--speed", "2", "--duration_scale", "2"), "give one"), (("-w", "a.opus", "--rate", "22050"), "22050")])
def test_infer_refuses(tmp_path, model, options, message):
    done = infer(model, tmp_path, "--ipa", *options)
    assert done.returncode in (1, 2) and message in done.stderr and not list(tmp_path.iterdir()), done.stderr


@pytest.mark.parametrize("options", [("--ipa",), ("--duration_scale", "2")])
def test_other_models_refuse_what_is_of_this_one(tmp_path, options):
    done = infer(SHIPPED, tmp_path, *options, text="Hello.")
    assert done.returncode == 2 and options[0] in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["tune"]])
def test_others_say_that_they_do_not_have_it(model, command):
    done = subprocess.run([test_fm_tts.PROGRAM, *command, "-m", model], capture_output=True, text=True, timeout=600)
    assert done.returncode == 1 and "only f5tts infer, batch and serve speak" in done.stderr, done.stderr


def batch(folder, model, lines, *options, **environment):
    (folder / "list.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return subprocess.run([test_fm_tts.PROGRAM, "batch", "-m", model, folder / "list.jsonl", "-o", folder / "out", "--nfe_step", "3", "--seed",
                           "5", *options], capture_output=True, text=True, timeout=600, env={**os.environ, **environment})


def test_batch_speaks_in_the_one_voice(tmp_path, model, engine):
    """Each line as infer has it, at the model's rate; a line's own pace and rate count."""
    texts = [IPA, "wˈʌn tˈuː.", "ðɪs ɪz sˈɛntəns."]
    lines = [dict(text=t, output=f"{i}.wav") for i, t in enumerate(texts)]
    lines += [dict(text=IPA, output="slow.wav", duration_scale="2"), dict(text=IPA, output="twice.wav", rate="44100"),
              dict(text=IPA, output="mel.wav", save_mel=str(tmp_path / "a.npy"))]
    done = batch(tmp_path, model, lines, "--ipa", "--exact", "--format", "wavf", "--parallel", "3")
    assert done.returncode == 0 and "6 spoken" in done.stdout, done.stderr
    out = tmp_path / "out"
    for i, text in enumerate(texts):
        rate, written = read_wav(out / f"{i}.wav")
        assert rate == 22050 and np.array_equal(written, by_hand(engine, text)[1])
    assert np.array_equal(read_wav(out / "slow.wav")[1], by_hand(engine, IPA, 0.5)[1])
    rate, written = read_wav(out / "twice.wav")
    assert rate == 44100 and len(written) == 2 * len(by_hand(engine, IPA)[1])
    assert np.array_equal(np.load(tmp_path / "a.npy"), by_hand(engine, IPA)[0])


def test_batch_of_words_and_of_ipa(tmp_path, model):
    done = batch(tmp_path, model, [dict(text="Hello world.", output="a.wav"), dict(text=IPA, ipa="true", output="b.wav")])
    if done.returncode == 1 and "--ipa" in done.stderr and "reads phonemes" in done.stderr:
        pytest.skip("no libespeak-ng here: " + done.stderr)
    assert done.returncode == 0 and "2 spoken" in done.stdout, done.stderr
    words = (tmp_path / "out" / "a.wav").read_bytes()
    done = batch(tmp_path, model, [dict(text="Hello world.", ipa="false", output="c.wav")], "--ipa")
    assert done.returncode == 0 and (tmp_path / "out" / "c.wav").read_bytes() == words, done.stderr


def test_batch_of_ipa_alone_needs_no_espeak(tmp_path, model):
    """libespeak-ng is asked for by the first line of words, before anything is spoken, and not by those that are IPA or
    there already."""
    (tmp_path / "libespeak-ng.so.1").write_bytes(b"no library")
    ipa = [dict(text=IPA, ipa="true", output="a.wav"), dict(text=IPA, ipa="true", output="b.wav")]
    without = dict(LD_LIBRARY_PATH=str(tmp_path))
    done = batch(tmp_path, model, [*ipa, dict(text="Hello.", output="c.wav")], **without)
    assert done.returncode == 1 and "list.jsonl:3: " in done.stderr and "espeak" in done.stderr, done.stderr
    assert not (tmp_path / "out" / "a.wav").exists()
    done = batch(tmp_path, model, ipa, **without)
    assert done.returncode == 0 and "2 spoken" in done.stdout, done.stderr
    done = batch(tmp_path, model, [dict(text="Hello.", output="a.wav"), dict(text=IPA, ipa="true", output="d.wav")], **without)
    assert done.returncode == 0 and "1 spoken, 1 there already" in done.stdout, done.stderr
    done = batch(tmp_path, model, [dict(text="Hello.", ipa="false", output="e.wav")], "--ipa", **without)
    assert done.returncode == 1 and "list.jsonl:1: " in done.stderr, done.stderr


@pytest.mark.parametrize("more,message", [(dict(voice="slt"), "--voice: "), (dict(ref_audio="x.wav"), "--ref_audio: "),
                                          (dict(cfg_strength="2"), "no guidance"), (dict(loudness="-16"), "24000 samples"),
                                          (dict(output="a.opus", rate="22050"), "22050")])
def test_a_line_that_one_voice_does_not_take(tmp_path, model, more, message):
    """It is told with its number; the others are spoken."""
    done = batch(tmp_path, model, [dict(text=IPA, output="good.wav"), dict(text=IPA, **{"output": "bad.wav", **more})], "--ipa")
    assert done.returncode == 1 and "list.jsonl:2: " in done.stderr and message in done.stderr, done.stderr
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.wav"]


def test_batch_refuses_for_all_lines(tmp_path, model, even_model):
    for path, options, message in ((model, ["--voice", "slt"], "takes no recording"), (even_model, ["--duration_scale", "2"], "one pace"),
                                   (SHIPPED, ["--ipa"], "reads letters")):
        done = batch(tmp_path, path, [dict(text=IPA, output="a.wav")], *options)
        assert done.returncode == 1 and message in done.stderr and not (tmp_path / "out").exists(), done.stderr
    (tmp_path / "c.toml").write_text('[voices.other]\nref_audio = "x.wav"\nref_text = "A word."\n')
    done = batch(tmp_path, model, [dict(text=IPA, output="a.wav")], "--ipa", "-c", tmp_path / "c.toml")
    assert done.returncode == 1 and "and no others" in done.stderr, done.stderr


@pytest.mark.parametrize("option", ["--speed", "--duration_scale"])
def test_infer_refuses_a_pace(tmp_path, even_model, option):
    done = infer(even_model, tmp_path, "--ipa", option, "2")
    assert done.returncode == 2 and f"{option}: " in done.stderr and "one pace" in done.stderr and not list(tmp_path.iterdir())


def test_infer_of_64_samples_a_frame(tmp_path, coded_model):
    done = infer(coded_model, tmp_path, "--ipa", "--subtitles", tmp_path / "a.json", "--fix_duration", "1")
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "a.json").read_text())
    assert abs(len(read_wav(tmp_path / "a.wav")[1]) / 22050 - 1) < 0.01
    assert abs(said["chunks"][0]["end"] - said["chunks"][0]["start"] - 1) < 0.02, said


def test_clipping_is_told_without_what_is_refused(tmp_path, seed):
    done = infer(make_model(tmp_path, seed, louder=4), tmp_path / "out", "--ipa")
    assert done.returncode == 0 and "give --loudness peak" in done.stderr and "-16" not in done.stderr, done.stderr


def test_info_counts_at_the_models_rate(model, coded_model):
    for path, seconds in ((model, "11.6 s"), (coded_model, "2.9 s")):
        done = subprocess.run([test_fm_tts.PROGRAM, "info", path, "--plan", "--frames", "1000"], capture_output=True, text=True, timeout=600)
        assert done.returncode == 0 and f"1000 frames ({seconds})" in done.stdout, done.stdout + done.stderr


def test_an_odd_width_is_refused_when_it_is_opened(tmp_path, model):
    data = open(model, "rb").read()
    width = rb'\"width\":128'
    assert width in data
    (tmp_path / "odd.f5").write_bytes(data.replace(width, width[:-1] + b"7"))
    with pytest.raises(f5lib.Error, match="text.width is 127: must be even"):
        f5lib.Engine(str(tmp_path / "odd.f5"), max_frames=500).__enter__()


def test_triton_refuses_it_when_it_is_loaded(model):
    program = test_fm_tts.PROGRAM.parent / "test_triton_refused"
    if not program.exists():
        pytest.skip("built with F5_TRITON=OFF")
    done = subprocess.run([program, SHIPPED, model], capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
