"""Flow-Matching-TTS on the GPU: against its references in float32, and the laws of the engine: alone as in company, launched
as replayed, a hundred times the same. E2-TTS, MMDiT and BigVGAN have files of their own."""
import sys

import numpy as np
import pytest
import torch

import cbind
import f5file
import f5lib
from synth import reference

sys.path.append(str(cbind.ROOT / "tests/reference"))
import fm_tts  # noqa: E402
import mb_istft  # noqa: E402

SIZES = (1, 2, 7, 32)
TYPES = dict(fp32=torch.float32, fp16=torch.float16, bf16=torch.bfloat16)
MEL_BARS = dict(fp32=1e-4, fp16=2e-3, bf16=1.5e-2)  # of what sampling adds to the noise
# Of waves, by what convolutions read. In 16 bits twice what rounding every operand of the reference costs: 9.8e-4, 7.5e-3.
WAVE_BARS = dict(fp32=1e-4, fp16=2e-3, bf16=1.5e-2)


class Made:
    def __init__(self, folder, arch, seed, **settings):
        reference.exact_math()
        self.path = str(folder / f"{arch}.f5")
        made = f5file.write_model(self.path, arch, seed=seed, **settings)
        self.config, self.vocab_size = made["config"], len(made["vocab"])
        self.model, self.vocos = ({k: torch.from_numpy(v).cuda() for k, v in made[part].items()} for part in ("model", "vocos"))


@pytest.fixture(scope="module")
def fm(tmp_path_factory, seed):
    return Made(tmp_path_factory.mktemp("fm"), "FM_TTS", seed)


@pytest.fixture(scope="module")
def small_fm(tmp_path_factory, seed):
    return Made(tmp_path_factory.mktemp("small_fm"), "FM_TTS", seed, depth=3, mb_channels=64)


def own_request(rng, tokens, frames, noise=True):
    made = dict(tokens=rng.integers(0, 187, tokens).astype(np.int32), frames=frames)
    return made | dict(noise=rng.standard_normal((frames, 80)).astype(np.float32)) if noise else made


def distance(ours, truth):
    ours, truth = ours.astype(np.float64), truth.astype(np.float64)
    assert np.isfinite(ours).all()
    return float(np.linalg.norm(ours - truth) / np.linalg.norm(truth))


# ---- Flow-Matching-TTS

@pytest.mark.parametrize("tokens,frames", [(151, 431), (301, 861), (13, 40)])
def test_mels(fm, rng, tokens, frames):
    request = own_request(rng, tokens, frames)
    with torch.no_grad():
        truth = fm_tts.sample(fm.model, torch.from_numpy(request["tokens"]).cuda().long(), torch.from_numpy(request["noise"]).cuda(), 10)
    truth, found = truth.cpu().numpy() - request["noise"], {}
    for precision in MEL_BARS:
        with f5lib.Engine(fm.path, "cuda", precision, max_frames=896, max_batch=1) as e:
            found[precision] = distance(e.sample([request], nfe=10)[0] - request["noise"], truth)
    print(f"\nFM_TTS {tokens} tokens, N {frames}, NFE 10, relative L2 against fp32 PyTorch: "
          + "  ".join(f"{k} {v:.2e}" for k, v in found.items()))
    for precision, value in found.items():
        assert value <= MEL_BARS[precision], f"{precision}: {value:.2e}"


def test_durations(fm, rng):
    """Sums within a rounding of a whole number may fall on either side of it."""
    with f5lib.Engine(fm.path, "cuda", "fp16", max_frames=896, max_batch=1) as e:
        for n in (1, 2, 31, 301):
            tokens = rng.integers(0, 187, n).astype(np.int32)
            weights = {k: v for k, v in fm.model.items() if "flow_matching" not in k}
            with torch.no_grad():
                d = torch.exp(fm_tts.log_durations(weights, torch.from_numpy(tokens).cuda().long())).clamp(min=1).double().sum().item()
            assert e.predict_frames(tokens) in {int(d * (1 - 1e-5)), int(d * (1 + 1e-5))}


@pytest.mark.parametrize("portable", [0, 1], ids=["", "portable"])
@pytest.mark.parametrize("precision", WAVE_BARS)
def test_waves(fm, rng, precision, portable):
    mels = [rng.standard_normal((frames, 80)).astype(np.float32) for frames in (861, 1, 2, 93)]
    weights = {k: v.cpu() for k, v in fm.vocos.items()}
    with f5lib.Engine(fm.path, "cuda", "fp16", vocoder_precision=precision, max_frames=1024, max_batch=4, portable=portable) as e:
        for mel, together in zip(mels, e.vocode_batch(mels)):
            samples = e.vocode(mel)
            assert samples.tobytes() == together.tobytes(), "a mel alone and in a batch"
            found = distance(samples, mb_istft.decode(weights, "bands", torch.from_numpy(mel)).numpy())
            print(f"\nMB-iSTFT {precision} {len(mel)} frames: {found:.2e}")
            assert found <= WAVE_BARS[precision]


def check_laws(open_engine, run, given):
    """Batches of all sizes against each alone; launch by launch; a hundred times."""
    with open_engine() as e:
        alone = [run(e, [one])[0] for one in given[:7]]
        for size in SIZES:
            together = run(e, given[:size])
            for i in range(min(size, 7)):
                assert together[i].tobytes() == alone[i].tobytes(), f"{i} depends on a batch of {size}"
        for _ in range(100):
            assert run(e, given[:1])[0].tobytes() == alone[0].tobytes()
    with open_engine(eager=1) as e:
        for i, got in enumerate(run(e, given[:7])):
            assert got.tobytes() == alone[i].tobytes(), f"{i} launch by launch"


@pytest.mark.parametrize("precision", TYPES)
def test_one_voice_company_and_graphs(small_fm, rng, precision):
    given = [own_request(rng, max(1, int(n) // int(rng.integers(1, 7))), int(n)) for n in rng.integers(1, 300, 32)]
    limits = dict(max_frames=sum(r["frames"] for r in given) + 64, max_batch=32)
    check_laws(lambda **more: f5lib.Engine(small_fm.path, "cuda", precision, **limits, **more), lambda e, r: e.sample(r, nfe=5), given)


def test_one_voice_same_seed(small_fm, rng):
    request = own_request(rng, 60, 250, noise=False) | dict(seed=7)
    with f5lib.Engine(small_fm.path, "cuda", "fp16", max_frames=320, max_batch=1) as e:
        first, = e.sample([request], nfe=5)
        for _ in range(99):
            assert e.sample([request], nfe=5)[0].tobytes() == first.tobytes()


def test_one_voice_speaks(small_fm):
    """Whole speech, twice: tokens, durations, mels and samples."""
    with f5lib.Engine(small_fm.path, "cuda", "fp16", max_frames=1500, max_batch=2) as e:
        said = [e.say(None, "ðɪs ɪz ɐ sˈɛntəns, ænd ɐnˈʌðɚ wˌʌn.", seed=5, sample=dict(nfe=5))[0] for _ in range(2)]
    sound = [np.concatenate([p["samples"] for p in pieces]) for pieces in said]
    assert len(sound[0]) > 4000 and np.isfinite(sound[0]).all() and np.array_equal(*sound)


@pytest.mark.parametrize("precision", TYPES)
def test_waves_in_company(small_fm, rng, precision):
    mels = [rng.standard_normal((int(n), 80)).astype(np.float32) for n in rng.integers(1, 120, 32)]
    check_laws(lambda **more: f5lib.Engine(small_fm.path, "cuda", precision, max_frames=4096, max_batch=32, **more),
               lambda e, m: e.vocode_batch(m), mels)
