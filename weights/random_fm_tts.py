"""random_fm_tts.py — Flow-Matching-TTS's checkpoint and configuration with random weights, as its training writes them.

random_checkpoint.py asks for it by --arch FM_TTS, tests/reference/fm_tts.py for small ones. All is in one file, G_0.pth:
the acoustic model, "flow_tts.…", and the vocoder, "dec.…". Values are as large as upstream's initial ones, with norms
and biases off one and zero, and durations of about 4 frames."""
import json
import math
import string
from pathlib import Path

MODEL, HEAD = "flow_tts.flow_matching.model.", 64
TEXT_BLOCKS, PREDICTOR, MAX_TOKENS, MELS = 4, 256, 5000, 80
TAPS, DILATIONS, BANDS, POINTS, BANK_TAPS = (3, 7, 11), (1, 3, 5), 4, 16, 63

ARCH = dict(backbone="FM_TTS", vocoder="mb_istft", dim=512, depth=12, heads=8, ff_mult=4)
OPTIONS = dict(fm_symbols=200, fm_durations=True, mb_form="bands", mb_channels=512)

# upstream's table; a symbol that is there twice has its last number
SYMBOLS = ("_;:,.!?¡¿—…\"«»\"\" ()[]{}'\"-" + string.ascii_uppercase + string.ascii_lowercase +
           "ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃ"
           "ˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ")


def vocabulary(size=200):
    """Tokens by their ids, empty where no symbol has a row of the embedding."""
    return list(SYMBOLS) + [""] * (size - len(SYMBOLS))


# ---- the tensors: (key, shape, how its values are drawn)

def layer(key, *shape, std=None):
    yield key + ".weight", shape, ("normal", std or math.prod(shape[1:]) ** -0.5)
    yield key + ".bias", shape[:1], ("normal", 0.1)


def norm(key, width):
    yield key + ".weight", (width,), ("about one", 0.1)
    yield key + ".bias", (width,), ("normal", 0.1)


def transformer(dim, layers, ff_dim, symbols, bands):
    yield MODEL + "text_emb.weight", (symbols, dim), ("normal", 1.0)
    yield MODEL + "text_pos_enc", (1, MAX_TOKENS, dim), ("normal", 0.1)
    yield from layer(MODEL + "mel_proj", dim, bands, 1)
    yield from layer(MODEL + "time_mlp.0", 4 * dim, dim)
    yield from layer(MODEL + "time_mlp.2", dim, 4 * dim)
    for i in range(TEXT_BLOCKS):
        block = f"{MODEL}convnext_blocks.{i}."
        yield from layer(block + "dwconv", dim, 1, 7)
        yield from norm(block + "norm", dim)
        yield from layer(block + "pwconv1", 4 * dim, dim)
        yield from layer(block + "pwconv2", dim, 4 * dim)
    for i in range(layers):
        block = f"{MODEL}transformer.layers.{i}."
        for key, shape, how in layer(block + "self_attn.in_proj", 3 * dim, dim):
            yield key.replace("in_proj.", "in_proj_"), shape, how
        yield from layer(block + "self_attn.out_proj", dim, dim)
        yield from layer(block + "linear1", ff_dim, dim)
        yield from layer(block + "linear2", dim, ff_dim)
        yield from norm(block + "norm1", dim)
        yield from norm(block + "norm2", dim)
    yield from layer(MODEL + "output_proj", bands, dim, 1)


def durations(dim, symbols):
    yield "flow_tts.text_encoder.0.weight", (symbols, dim), ("normal", 1.0)
    yield from layer("flow_tts.text_encoder.1", dim, dim, 3)
    yield from layer("flow_tts.text_encoder.3", dim, dim, 3)
    for i in range(3):
        yield from layer(f"flow_tts.duration_predictor.conv_layers.{i}", PREDICTOR, PREDICTOR if i else dim, 3)
        yield from norm(f"flow_tts.duration_predictor.norm_layers.{i}", PREDICTOR)
    yield "flow_tts.duration_predictor.proj.weight", (1, PREDICTOR, 1), ("normal", 0.03)
    yield "flow_tts.duration_predictor.proj.bias", (1,), ("about", 1.4)


def acoustic(dim=512, layers=12, ff_dim=2048, symbols=200, predicts=True, bands=MELS):
    yield from transformer(dim, layers, ff_dim, symbols, bands)
    if predicts:
        yield from durations(dim, symbols)


def rates(form):
    """What the vocoder's stages multiply the rate by; with hop 4, and four bands where there are, 256 samples a frame."""
    return (8, 8) if form == "single" else (4, 4)


def vocoder(form="bands", channels=512, mels=MELS):
    """Of the forms "coded", one band as Flow-Matching-TTS has it, "single", "bands" and "streams". Tensors keep their size
    from layer to layer; the last convolution makes magnitudes near 1 and phases of all angles."""
    def conv(name, out, width, taps, bias=True, scale=0.8, stride=0):
        shape = (width, out, taps) if stride else (out, width, taps)
        std = scale * (width * taps / (stride or 1)) ** -0.5
        yield f"dec.{name}.weight_g", (shape[0], 1, 1), ("about", std * (shape[1] * taps) ** 0.5)
        yield f"dec.{name}.weight_v", shape, ("normal", 3.0)
        if bias:
            yield f"dec.{name}.bias", (out,), ("normal", 0.1)

    yield from conv("conv_pre", channels, mels, 7, scale=1.0)
    for i, rate in enumerate(rates(form)):
        half = channels >> (i + 1)
        yield from conv(f"ups.{i}", half, 2 * half, 16, scale=1.4, stride=rate)
        for j, taps in enumerate(TAPS):
            for m in range(3):
                yield from conv(f"resblocks.{3 * i + j}.convs1.{m}", half, half, taps)
                yield from conv(f"resblocks.{3 * i + j}.convs2.{m}", half, half, taps)
    several = form in ("bands", "streams")
    yield from conv("subband_conv_post" if several else "conv_post", (BANDS if several else 1) * (POINTS + 2), channels >> 2, 7)
    if form == "streams":
        yield from conv("multistream_conv_post", 1, BANDS, BANK_TAPS, bias=False, scale=1.0)
        yield "dec.updown_filter", (BANDS, BANDS, BANDS), ("normal", 0.1)


# ---- the configuration

def vocoder_config(form="bands", channels=512):
    """Its part of the configuration's "model"."""
    return {"ms_istft_vits": form == "streams", "mb_istft_vits": form in ("coded", "bands"), "istft_vits": form == "single",
            "subbands": BANDS, "gen_istft_n_fft": POINTS, "gen_istft_hop_size": POINTS // 4, "resblock": "1", "gin_channels": 0,
            "resblock_kernel_sizes": list(TAPS), "resblock_dilation_sizes": [list(DILATIONS)] * 3,
            "upsample_rates": list(rates(form)), "upsample_initial_channel": channels, "upsample_kernel_sizes": [16, 16]}


def config(dim=512, layers=12, ff_dim=2048, symbols=200, predicts=True, form="bands", channels=512):
    """Of configs/flow_matching.json what is read, and something of what is not."""
    return {"train": {"learning_rate": 2e-4, "fp16_run": True},
            "data": {"sampling_rate": 22050, "hop_length": 256, "n_mel_channels": MELS, "mel_fmax": None, "add_blank": True,
                     "text_cleaners": ["english_cleaners2"]},
            "model": {"flow_d_model": dim, "flow_nhead": dim // HEAD, "flow_num_layers": layers, "flow_dim_feedforward": ff_dim,
                      "n_text_vocab": symbols, "use_duration_predictor": predicts, **vocoder_config(form, channels)}}


# ---- for random_checkpoint.py, whose settings c are

def acoustic_of(c):
    return acoustic(c["dim"], c["depth"], c["ff_mult"] * c["dim"], c["fm_symbols"], c["fm_durations"])


def vocoder_of(c):
    return vocoder(c["mb_form"], c["mb_channels"])


def make(directory, c, seed, draw_all, write_torch):
    """As random_checkpoint.make_checkpoint, whose functions these are. The vocoder lies in the checkpoint; symbols are no file."""
    model, dec, folder = draw_all(acoustic_of(c), seed), draw_all(vocoder_of(c), seed), Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    said = config(c["dim"], c["depth"], c["ff_mult"] * c["dim"], c["fm_symbols"], c["fm_durations"], c["mb_form"], c["mb_channels"])
    (folder / "config.json").write_text(json.dumps(said, indent=2))
    write_torch(folder / "G_0.pth", {"model": {**model, **dec}, "iteration": 0, "optimizer": None, "learning_rate": 2e-4})
    return dict(model=model, vocos=dec, config=c, vocab=vocabulary(c["fm_symbols"]), yaml=str(folder / "config.json"),
                checkpoint=str(folder / "G_0.pth"), vocab_path=None, vocos_config=None, vocos_path=None)
