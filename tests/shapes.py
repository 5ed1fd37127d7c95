"""shapes.py — the sizes that the tests and bench/ share, so that what is timed is what was proved."""

# mel frames in all of the standard requests, of which the reference has 469; 5, 10 and 17 s are generated
SIZES = {"S": 938, "M": 1406, "L": 2062}
COND_FRAMES = 469  # mel frames of a reference of 5 s

# The four products of a DiT block: name, in and out in units of the model's width D, epilogue. ff1 and ff2: ff_mult 2.
BLOCK_PRODUCTS = [("qkv", 1, 3, "ROPE"), ("out", 1, 1, "RESIDUAL"), ("ff1", 1, 2, "GELU_TANH"),
                  ("ff2", 2, 1, "RESIDUAL")]


def block_products(dim):
    """[(name, in, out, epilogue)] at this width."""
    return [(name, a * dim, b * dim, epilogue) for name, a, b, epilogue in BLOCK_PRODUCTS]


def call_flop(lengths, config):
    """{call: FLOP} of the heavy calls of an evaluation, both branches of sequences of these lengths."""
    rows, dim = 2 * sum(lengths), config["dim"]
    flop = {name: 2.0 * rows * a * b for name, a, b, _ in block_products(dim)}
    flop["attention"] = 2 * 4.0 * 64 * config["heads"] * sum(n * n for n in lengths)
    flop["conv_pos"] = 2.0 * rows * dim * (dim // 16) * 31
    flop["input"] = flop["velocity"] = 2.0 * rows * 100 * dim
    return flop


def evaluation_flop(lengths, config):
    """FLOP of one evaluation of the DiT."""
    times = {"input": 1, "velocity": 1, "conv_pos": 2}
    return sum(times.get(call, config["depth"]) * flop for call, flop in call_flop(lengths, config).items())
