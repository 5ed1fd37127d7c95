"""f5tts.Model of other models than DiT with Vocos: mels, rates, bands, one voice, and what a model asks for by itself."""
import ctypes
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import convert_lib
import f5lib
import test_fm_tts
from recordings_lib import VOICE, WORDS

sys.path.append(str(Path(__file__).resolve().parents[1] / "reference"))

import fm_tts  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:the recording")


def same(a, b):
    return a.shape == b.shape and a.dtype == b.dtype == np.float32 and np.array_equal(a, b)


@pytest.fixture(scope="module")
def bigvgan(tmp_path_factory, seed):
    folder = tmp_path_factory.mktemp("bigvgan")
    made = convert_lib.rc.make_checkpoint(folder, arch="tiny", seed=seed, vocoder="bigvgan", bigvgan_channels=4,
                                          bigvgan_rates=(16, 16), bigvgan_blocks=(1, 1, 3))
    result = convert_lib.convert(made, folder / "bigvgan.f5", license="MIT", credit="Zoë")
    assert result.returncode == 0, result.stderr
    return folder / "bigvgan.f5"


@pytest.fixture(scope="module")
def one_voice(tmp_path_factory, seed):
    path, done = test_fm_tts.convert(tmp_path_factory.mktemp("fm"), fm_tts.random_weights(seed), fm_tts.config())
    assert done.returncode == 0, done.stderr
    return path


def test_bigvgan(f5tts, bigvgan, rng):
    """Its mels have a frame less, and every row of them is written."""
    samples = rng.normal(0, 0.1, 5000).astype(np.float32)
    with f5tts.Model(bigvgan, device="cpu", max_frames=1024) as mine, f5lib.Engine(bigvgan, max_frames=1024) as engine:
        for n in (385, 512, 5000):
            mel = mine.mel(samples[:n])
            assert mel.shape == (n // 256, 100) and np.isfinite(mel).all() and same(mel, engine.mel(samples[:n]))
        with pytest.raises(ValueError, match="at least 385"):
            mine.mel(samples[:384])
        assert same(mine.vocode(mel), engine.vocode(mel)) and len(mine.vocode(mel)) == 256 * len(mel)
        assert (mine.rate, mine.bands, mine.one_voice) == (24000, 100, False)
        assert (mine.info["license"], mine.info["credit"]) == ("MIT", "Zoë")
        speech = mine.speak("Hello.", nfe=2)
        assert speech.rate == 24000 and np.isfinite(speech.samples).all()


def test_compat_knows_the_vocoder(bigvgan):
    from f5tts.compat import F5TTS
    speaker = F5TTS(ckpt_file=str(bigvgan), device="cpu")
    assert (speaker.mel_spec_type, speaker.target_sample_rate) == ("bigvgan", 24000)
    wav, rate, spec = speaker.infer(str(VOICE), WORDS, "Hello there.", nfe_step=2, show_info=lambda *_: None, progress=None)
    assert rate == 24000 and len(wav) > 1000 and spec.shape[0] == 100 and np.isfinite(spec).all()


def test_one_voice(f5tts, one_voice, rng, tmp_path):
    """80 bands, as many frames as are asked for, no cond; what the library makes of the same."""
    tokens = rng.integers(0, 187, 12).astype(np.int32)
    with f5tts.Model(one_voice, device="cpu", max_frames=700) as mine, f5lib.Engine(one_voice, max_frames=700) as engine:
        assert (mine.rate, mine.bands, mine.one_voice) == (22050, 80, True)
        assert mine.predict_frames(tokens, 1.5) == engine.predict_frames(tokens, 1.5) > 0
        nothing = np.zeros((0, 80), np.float32)
        for frames in (40, 12, 3):  # of 12 and 3 it makes 12: one for each token
            made = max(12, frames)
            noise = rng.normal(size=(made, 80)).astype(np.float32)
            mel = mine.sample(nothing, tokens, frames, noise=noise, nfe=2, grid="quadratic", sway=0.5)
            want, = engine.sample([dict(cond=nothing, tokens=tokens, frames=frames, noise=noise)], nfe=2, grid=3, sway=0.5)
            assert mel.shape == (made, 80) and same(mel, want) and same(mine.vocode(mel), engine.vocode(mel))
        for wrong in (np.zeros((made + 1, 80)), np.zeros((made, 100))):
            with pytest.raises(ValueError, match="noise has the shape"):
                mine.sample(nothing, tokens, frames, noise=wrong, nfe=2)
        for call in (lambda: mine.voice(VOICE, WORDS), lambda: mine.mel(np.zeros(24000, np.float32))):
            with pytest.raises(NotImplementedError, match="one voice"):
                call()
    speech = f5tts.Speech(np.zeros(22050, np.float32), nothing, rate=22050)
    assert speech.seconds == 1
    speech.save(tmp_path / "a.opus")  # which has no 22050
    assert len(f5tts.read(tmp_path / "a.opus")[0]) == 48000  # it is decoded at 48 kHz
    for rate, frames in ((None, 22050), (44100, 44100)):
        speech.save(tmp_path / "a.wav", rate)
        samples, written = f5tts.read(tmp_path / "a.wav")
        assert written == (rate or 22050) and abs(len(samples) - frames) <= 1


def test_words_of_one_voice_become_phonemes(f5tts, one_voice, tiny):
    """By the caller's function; what it raises is raised."""
    asked, ipa = [], "həlˈoʊ wˈɜːld."
    with f5tts.Model(one_voice, device="cpu", max_frames=700) as mine:
        said = mine.speak("Hello world.", seed=5, nfe=2, phonemes=lambda text: (asked.append(text), ipa)[1])
        assert set(asked) == {"Hello world."} and same(said.samples, mine.speak(ipa, seed=5, nfe=2).samples)
        assert mine.show_text("Hello world.", phonemes=lambda text: ipa)[0].text == ipa
        streamed = np.concatenate([c.samples for c in mine.stream("Hello world.", seed=5, nfe=2, phonemes=lambda text: ipa)])
        assert same(streamed, said.samples)
        for wrong, failure, message in ((3, TypeError, "no function"), (lambda text: b"a", TypeError, "not a str"),
                                        (lambda text: 1 // 0, ZeroDivisionError, "zero"), (lambda text: "a" * 10 ** 6, ValueError, "room"),
                                        (lambda text: "\ud800", ValueError, "")):
            with pytest.raises(failure, match=message):
                mine.speak("Hello.", nfe=1, phonemes=wrong)
    with pytest.raises((ValueError, NotImplementedError), match="phonemes"):
        tiny.speak("Hello.", nfe=1, phonemes=lambda text: ipa)


def test_predicted_frames_are_of_one_voice(tiny):
    with pytest.raises((ValueError, NotImplementedError), match="one voice|duration"):
        tiny.predict_frames([1, 2])


def test_what_the_model_asks_for(f5tts, model, tmp_path):
    """Steps and method of `f5tts tune`, where the caller names neither."""
    path = tmp_path / "tuned.f5"
    shutil.copy(model, path)
    asked = f5lib.struct("f5_model_defaults", method=2, nfe=6)
    f5lib.call("f5_set_model_defaults", str(path).encode(), ctypes.addressof(asked))
    cond, tokens, noise = np.zeros((9, 100), np.float32), [1, 2, 3], np.ones((30, 100), np.float32)
    given = [{}, dict(nfe=6, method="ab2"), dict(nfe=4), dict(nfe=4, method="euler")]
    with f5tts.Model(path, device="cpu", max_frames=1024) as tuned:
        assert (tuned.info["default_nfe"], tuned.info["default_method"]) == (6, 2)
        steps, voice = [], tuned.voice("slt")
        speech = [tuned.speak("Hello.", voice, seed=3, **s).samples for s in given]
        mels = [tuned.sample(cond, tokens, 30, noise=noise, **s) for s in given]
        streamed = np.concatenate([c.samples for c in tuned.stream("Hello.", voice, seed=3)])
        edited = tuned.edit(VOICE, WORDS, [(0.5, 0.9, 0.6)], seed=2, progress=lambda step, n: steps.append(n))
    assert same(speech[0], speech[1]) and same(speech[2], speech[3]) and not same(speech[0], speech[2])
    assert same(mels[0], mels[1]) and same(mels[2], mels[3]) and not same(mels[0], mels[2])
    assert same(streamed, speech[0]) and set(steps) == {6} and len(edited.samples)


def test_grids(tiny):
    cond, tokens, noise = np.zeros((9, 100), np.float32), [1, 2, 3], np.ones((30, 100), np.float32)
    mels = [tiny.sample(cond, tokens, 30, noise=noise, nfe=4, grid=g) for g in ("method", "sway", "curve", "quadratic")]
    assert same(mels[0], mels[1]) and not same(mels[1], mels[2]) and not same(mels[1], mels[3])


def test_no_memory_for_what_is_refused(f5tts, tiny, monkeypatch):
    """Sizes are looked at before anything is taken for them."""
    cond, most = np.zeros((9, 100), np.float32), []
    full = np.full
    monkeypatch.setattr(np, "full", lambda shape, *rest, **how: (most.append(int(np.prod(shape))), full(shape, *rest, **how))[1])
    for frames in (1025, 10 ** 6, 2 ** 31 - 1):
        with pytest.raises(ValueError, match=f"{frames} frames.*max_frames"):
            tiny.sample(cond, [1, 2], frames)
    with pytest.raises(ValueError, match="requests: 1 to 8"):
        tiny.sample_many([f5tts.SampleRequest(cond, [1, 2], 1000)] * 1000)
    with pytest.raises(ValueError, match="0 requests"):
        tiny.sample_many([])
    with pytest.raises(TypeError, match="SampleRequest"):
        tiny.sample_many([dict(cond=cond)])
    assert max(most, default=0) < 10 ** 6
