"""random_mmdit.py — MMDiT's tensors for random_checkpoint.py, as upstream's class names them."""
MEL = 100


def tensors(c, vocab_size, linear, conv, attention_and_feed_forward):
    """(key, shape, how its values are drawn) of each. The functions are random_checkpoint.py's, which other backbones share."""
    d, inner = c["dim"], c["heads"] * 64
    yield from linear("transformer.time_embed.time_mlp.0", d, 256)
    yield from linear("transformer.time_embed.time_mlp.2", d, d)
    yield "transformer.text_embed.text_embed.weight", (vocab_size + 1, d), ("normal", 0.5)
    yield from linear("transformer.audio_embed.linear", d, 2 * MEL)
    for i in (0, 2):
        yield from conv(f"transformer.audio_embed.conv_pos_embed.conv1d.{i}", d, d // 16, 31)
    yield "transformer.rotary_embed.inv_freq", (32,), ("rotary", 0)
    for i in range(c["depth"]):
        block, last = f"transformer.transformer_blocks.{i}.", i == c["depth"] - 1
        yield from linear(block + "attn_norm_x.linear", 6 * d, d, std=0.02)
        yield from attention_and_feed_forward(c, block + "attn.", block + "ff_x.ff.")
        yield from linear(block + "attn_norm_c.linear", (2 if last else 6) * d, d, std=0.02)
        for name in ("to_q_c", "to_k_c", "to_v_c"):
            yield from linear(f"{block}attn.{name}", inner, d)
        if c["qk_norm"]:
            yield block + "attn.c_q_norm.weight", (64,), ("about one", 0.1)
            yield block + "attn.c_k_norm.weight", (64,), ("about one", 0.1)
        if not last:
            yield from linear(block + "attn.to_out_c", d, inner)
            yield from linear(block + "ff_c.ff.0.0", c["ff_mult"] * d, d)
            yield from linear(block + "ff_c.ff.2", d, c["ff_mult"] * d)
    yield from linear("transformer.norm_out.linear", 2 * d, d, std=0.02)
    yield from linear("transformer.proj_out", MEL, d, std=0.02)
