"""random_bigvgan.py — BigVGAN's tensors and its config.json for random_checkpoint.py, as NVIDIA's files have them."""
import json

TAPS, DILATIONS = (3, 7, 11), (1, 3, 5)
OPTIONS = dict(bigvgan_channels=1536, bigvgan_rates=(4, 4, 2, 2, 2, 2), bigvgan_taps=None, bigvgan_blocks=TAPS,
               bigvgan_dilations=(DILATIONS,) * 3, bigvgan_tanh=False, bigvgan_bias=False, bigvgan_weight_norm=True)


def taps_of(c):
    """Of the transposed convolutions: twice their stride unless said."""
    return c["bigvgan_taps"] or [2 * rate for rate in c["bigvgan_rates"]]


def conv(c, key, first, others, std, bias=True):
    """first, others: the weight's shape; std: of its numbers. Its length is kept apart where it has weight norm."""
    shape = (first, *others)
    if c["bigvgan_weight_norm"]:
        yield key + ".weight_g", (first, 1, 1), ("about", std * (others[0] * others[1]) ** 0.5)
        yield key + ".weight_v", shape, ("normal", 0.3)
    else:
        yield key + ".weight", shape, ("normal", std)
    if bias:
        yield key + ".bias", (first if not key.startswith("ups.") else others[0],), ("normal", 0.02)


def activation(key, width):
    for name in ("alpha", "beta"):
        yield f"{key}.act.{name}", (width,), ("normal", 0.5)
    for name in ("upsample.filter", "downsample.lowpass.filter"):  # not read: constants
        yield f"{key}.{name}", (1, 1, 12), ("normal", 0.1)


def tensors(c):
    """Values stay near 1 from end to end: a stage's blocks add little, and the sound fills a third of -1 .. 1."""
    width = c["bigvgan_channels"]
    yield from conv(c, "conv_pre", width, (100, 7), 0.4 * 700 ** -0.5)
    for i, (rate, taps) in enumerate(zip(c["bigvgan_rates"], taps_of(c))):
        yield from conv(c, f"ups.{i}.0", width, (width // 2, taps), (width * taps / rate) ** -0.5)
        width //= 2
        for j, size in enumerate(c["bigvgan_blocks"]):
            block = f"resblocks.{3 * i + j}."
            for m in range(3):
                yield from conv(c, f"{block}convs1.{m}", width, (width, size), 0.5 * (width * size) ** -0.5)
                yield from conv(c, f"{block}convs2.{m}", width, (width, size), 0.2 * (width * size) ** -0.5)
            for k in range(6):
                yield from activation(f"{block}activations.{k}", width)
    yield from activation("activation_post", width)
    yield from conv(c, "conv_post", 1, (width, 7), 0.2 * (7 * width) ** -0.5, bias=c["bigvgan_bias"])


def config_json(c):
    return json.dumps({
        "resblock": "1", "num_gpus": 0, "batch_size": 4, "learning_rate": 0.0001, "lr_decay": 0.9999996,
        "upsample_rates": list(c["bigvgan_rates"]), "upsample_kernel_sizes": list(taps_of(c)),
        "upsample_initial_channel": c["bigvgan_channels"], "resblock_kernel_sizes": list(c["bigvgan_blocks"]),
        "resblock_dilation_sizes": [list(d) for d in c["bigvgan_dilations"]], "use_tanh_at_final": c["bigvgan_tanh"],
        "use_bias_at_final": c["bigvgan_bias"], "activation": "snakebeta", "snake_logscale": True, "segment_size": 65536,
        "num_mels": 100, "num_freq": 1025, "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 24000,
        "fmin": 0, "fmax": None, "fmax_for_loss": None,
        "dist_config": {"dist_backend": "nccl", "dist_url": "tcp://localhost:54321", "world_size": 1}}, indent=4)
