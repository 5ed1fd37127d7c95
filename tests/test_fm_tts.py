"""Flow-Matching-TTS: its checkpoint and configuration converted, durations and mels against tests/reference/fm_tts.py,
and the laws that every model keeps. Small: tests/reference/compare_fm_tts.py has the full size, beside upstream's own
code."""
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import cbind
import f5lib

sys.path.append(str(Path(__file__).resolve().parent / "reference"))
import fm_tts  # noqa: E402
import mb_istft  # noqa: E402

# measured 1e-7 to 4e-7: the order of sums. A wrong constant gives 1e-3 and more
MEL_BAR = 1e-5
PROGRAM = Path(os.environ.get("F5_BUILD", cbind.ROOT / "build")) / "bin" / "f5tts"


def convert(folder, weights, config, *more, vocoder=None):
    """f5tts convert on upstream's files; whatever else a checkpoint of training holds lies beside the weights."""
    vocoder = vocoder or mb_istft.random_weights(1, "bands")
    extra = {"mel_transform.spectrogram.window": torch.ones(4)}
    torch.save({"model": {**weights, **vocoder, **extra}, "iteration": 7, "learning_rate": 2e-4,
                "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 2e-4, "betas": (0.8, 0.99)}]}},
               folder / "G_7.pth")
    (folder / "config.json").write_text(json.dumps(config))
    path = folder / "model.f5"
    done = subprocess.run([PROGRAM, "convert", "--quiet", "--config", folder / "config.json", "--checkpoint", folder / "G_7.pth",
                           "--output", path, *more], capture_output=True, text=True, timeout=600)
    return path, done


@pytest.fixture(scope="module")
def made(tmp_path_factory, seed):
    weights = fm_tts.random_weights(seed)
    path, done = convert(tmp_path_factory.mktemp("fm"), weights, fm_tts.config())
    assert done.returncode == 0, done.stderr
    return str(path), weights


@pytest.fixture(scope="module")
def engine(made):
    with f5lib.Engine(made[0], max_frames=2000, max_batch=4, poison=1) as e:  # some seeds' pace is above ten frames a token
        yield e


def draw(rng, n):
    return rng.integers(0, 187, n).astype(np.int32)


def requests_of(rng, engine, lengths):
    requests = []
    for n in lengths:
        tokens = draw(rng, n)
        frames = engine.predict_frames(tokens)
        requests.append(dict(tokens=tokens, frames=frames, noise=rng.standard_normal((frames, 80)).astype(np.float32)))
    return requests


def test_what_it_is(engine):
    info = engine.info()
    assert (info["backbone"], info["vocoder"], info["name"]) == ("FM_TTS", "MB-iSTFT", "FM_TTS")
    assert (info["mel_bands"], info["sample_rate"], info["one_voice"], info["reads_phonemes"]) == (80, 22050, 1, 1)
    assert info["vocab_size"] == 200


def test_durations(rng, made, engine):
    for n in (1, 2, 9, 60):
        tokens = draw(rng, n)
        for scale in (1.0, 0.4, 2.5):
            exact = (torch.exp(fm_tts.log_durations(made[1], torch.from_numpy(tokens).long())) * scale).clamp(min=1).double().sum()
            # sums within a rounding of a whole number may fall on either side of it
            assert engine.predict_frames(tokens, scale) in {int(exact * (1 - 1e-6)), int(exact * (1 + 1e-6))}


@pytest.mark.parametrize("how", [dict(nfe=7, sway=-1.0), dict(nfe=4, sway=-2.0), dict(nfe=3, sway=0.5), dict(nfe=5, sway=None),
                                 dict(nfe=3, sway=None, midpoint=True), dict(nfe=4, sway=-1.0, midpoint=True)], ids=str)
def test_mels(rng, made, engine, how):
    requests = requests_of(rng, engine, (1, 7, 30))
    got = engine.sample(requests, **how)
    for request, mel in zip(requests, got):
        want = fm_tts.sample(made[1], torch.from_numpy(request["tokens"]).long(), torch.from_numpy(request["noise"]), how["nfe"],
                             how["sway"] or 0.0, how.get("midpoint", False))
        cbind.check("fm_tts", f"{how} N {len(mel)}", mel, want.numpy(), MEL_BAR)


def test_alone_and_packed_and_again(rng, engine):
    requests = requests_of(rng, engine, (5, 40, 1, 17))
    together = engine.sample(requests, nfe=3)
    for request, mel in zip(requests, together):
        assert np.array_equal(engine.sample([request], nfe=3)[0], mel)
    assert all(np.array_equal(a, b) for a, b in zip(engine.sample(requests[::-1], nfe=3)[::-1], together))
    # neither guidance nor EPSS is this model's
    assert all(np.array_equal(a, b) for a, b in zip(engine.sample(requests, nfe=3, cfg=0.0, epss=False), together))


def test_seeds_fill_bands_of_80(rng, engine):
    request = dict(tokens=draw(rng, 20), frames=90, seed=11)
    one, other = engine.sample([request], nfe=2)[0], engine.sample([{**request, "seed": 12}], nfe=2)[0]
    assert one.shape == (90, 80) and np.isfinite(one).all() and not np.array_equal(one, other)
    assert np.array_equal(engine.sample([request], nfe=2)[0], one)


def test_plan_is_use(engine):
    plan = engine.plan(2000, 4)
    assert 0 < plan["arena_bytes"] <= engine.info()["arena_bytes"] and plan["flop"] > 0


def test_tokens_have_blanks_and_last_numbers(engine):
    """A quote is three times in upstream's table, an apostrophe three times: the last one counts."""
    assert engine.tokenize("aˈ").tolist() == [0, 52, 0, 165, 0]
    assert engine.tokenize("\"' ").tolist() == [0, 24, 0, 185, 0, 16, 0]
    assert engine.tokenize("").tolist() == [0]


def test_what_it_refuses(rng, engine):
    tokens = draw(rng, 30)
    mel = np.zeros((5, 80), np.float32)
    for message, run in [
            ("one voice of its own", lambda: engine.sample([dict(tokens=tokens, frames=40, cond=mel)])),
            ("takes no recording", lambda: engine.mel(np.zeros(4096, np.float32))),
            ("must be 0.01 to 100", lambda: engine.predict_frames(tokens, 0.0)),
            ("must be 0.01 to 100", lambda: engine.predict_frames(tokens, float("nan"))),
            ("2001 tokens", lambda: engine.predict_frames(np.zeros(2001, np.int32))),
            ("the vocabulary has 200", lambda: engine.predict_frames(np.int32([0, 200]))),
            ("the vocabulary has 200", lambda: engine.sample([dict(tokens=np.int32([-1]), frames=4)])),
            ("quadratic grid", lambda: engine.sample([dict(tokens=tokens, frames=40)], sway=1e9))]:
        with pytest.raises(f5lib.Error, match=message):
            run()
    assert engine.predict_frames(tokens) >= len(tokens)


def test_five_frames_a_symbol_where_nothing_is_predicted(tmp_path, rng, seed):
    path, done = convert(tmp_path, fm_tts.random_weights(seed, layers=1, durations=False), fm_tts.config(layers=1, durations=False))
    assert done.returncode == 0, done.stderr
    with f5lib.Engine(str(path), max_frames=100) as e:
        assert e.predict_frames(draw(rng, 7), 3.0) == 35


@pytest.mark.parametrize("change,message", [
    (dict(flow_nhead=1), "a head is 64 wide"), (dict(n_text_vocab=100), "has 187 symbols"), (dict(flow_num_layers=3), "missing"),
    (dict(flow_d_model=64, flow_nhead=1), "has shape"), (dict(n_text_vocab=201), "has shape"), (dict(flow_num_layers="x"), "whole number"),
    (dict(flow_num_layers=1), "unknown"), (dict(flow_dim_feedforward=2 ** 40), "whole number")], ids=str)
def test_configurations_that_do_not_fit(tmp_path, made, change, message):
    path, done = convert(tmp_path, made[1], fm_tts.config(**change))
    assert done.returncode == 1 and message in done.stderr and not path.exists()


def test_other_bands_and_rates_are_refused(tmp_path, made):
    for key, value in (("n_mel_channels", 100), ("sampling_rate", 24000), ("n_speakers", 4)):
        config = fm_tts.config()
        config["data"][key] = value
        path, done = convert(tmp_path, made[1], config)
        assert done.returncode == 1 and key in done.stderr and not path.exists()


def test_damaged_weights_are_told(tmp_path, made, rng):
    """NaN does not get into a file; durations that overflow are no length."""
    weights = {**made[1], "flow_tts.duration_predictor.proj.bias": torch.tensor([float("nan")])}
    path, done = convert(tmp_path, weights, fm_tts.config())
    assert done.returncode == 1 and "not finite" in done.stderr
    weights["flow_tts.duration_predictor.proj.bias"] = torch.tensor([1e30])
    path, done = convert(tmp_path, weights, fm_tts.config())
    assert done.returncode == 0, done.stderr
    with f5lib.Engine(str(path), max_frames=100) as e:
        assert e.predict_frames(draw(rng, 3)) == 65536  # the most that any call takes


def test_info_says_what_it_is(made):
    done = subprocess.run([PROGRAM, "info", made[0]], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "FM_TTS, dim 128, depth 2" in done.stdout and "phonemes" in done.stdout


# ---- its vocoder

# measured 3e-7 to 7e-7; a wrong constant gives 1e-3 and more
WAVE_BAR = 1e-5


@pytest.fixture(scope="module", params=mb_istft.FORMS)
def speaking(request, tmp_path_factory, seed):
    """(form, engine, weights) of each form of the vocoder."""
    weights = mb_istft.random_weights(seed, request.param)
    path, done = convert(tmp_path_factory.mktemp("mb"), fm_tts.random_weights(seed, layers=1),
                         fm_tts.config(layers=1, **mb_istft.config(request.param)), vocoder=weights)
    assert done.returncode == 0, done.stderr
    with f5lib.Engine(str(path), max_frames=200, max_batch=8, poison=1) as e:
        yield request.param, e, weights


def test_waves(rng, speaking):
    form, engine, weights = speaking
    mels = [rng.standard_normal((n, 80)).astype(np.float32) for n in (1, 2, 40, 7, 97)]
    for mel, samples in zip(mels, engine.vocode_batch(mels)):
        assert len(samples) == len(mel) * (64 if form == "coded" else 256)
        cbind.check("mb_istft", f"{form} N {len(mel)}", samples, mb_istft.decode(weights, form, torch.from_numpy(mel)).numpy(), WAVE_BAR)
        assert np.array_equal(engine.vocode(mel), samples)


@pytest.mark.parametrize("change,message", [
    (dict(resblock="2"), "only '1' is supported"), (dict(gen_istft_hop_size=8), "only 4 is supported"), (dict(subbands=2), "samples a frame"),
    (dict(upsample_rates=[4, 8]), "samples a frame"), (dict(upsample_kernel_sizes=[16]), "one for each"), (dict(gin_channels=256), "gin_channels"),
    (dict(gen_istft_n_fft=18), "multiple of 4"), (dict(gen_istft_n_fft=32), "gen_istft_hop_size"), (dict(upsample_initial_channel=30), "halved"), (dict(istft_vits=True), "samples a frame"),
    (dict(ms_istft_vits=True), "multistream_conv_post"), (dict(resblock_kernel_sizes=[3, 7]), "three"),
    (dict(upsample_rates=[2] * 9), "upsample_kernel_sizes"), (dict(gen_istft_n_fft=2 ** 40), "whole number")], ids=str)
def test_vocoders_that_do_not_fit(tmp_path, made, change, message):
    path, done = convert(tmp_path, made[1], fm_tts.config(**change))
    assert done.returncode == 1 and message in done.stderr and not path.exists(), done.stderr


def test_checkpoints_without_their_vocoder(tmp_path, made):
    for weights, message in (({"dec.conv_pre.weight_v": torch.ones(3, 3)}, "missing"),
                             ({**mb_istft.random_weights(1, "bands"), "dec.more.weight": torch.ones(3)}, "dec.more.weight"),
                             ({**mb_istft.random_weights(1, "bands"), "dec.conv_pre.bias": torch.ones(3)}, "has shape")):
        path, done = convert(tmp_path, made[1], fm_tts.config(), vocoder=weights)
        assert done.returncode == 1 and message in done.stderr and not path.exists()
    path, done = convert(tmp_path, made[1], fm_tts.config(), "--vocos", tmp_path / "G_7.pth")
    assert done.returncode == 1 and "in its checkpoint" in done.stderr and not path.exists()
