#!/usr/bin/env python3
"""Proof that `f5tts convert` understands checkpoints as people have them: 32 kinds made by upstream's own classes, by
ema_pytorch, by PEFT and by torch's savers; the converted model's mel against upstream's (merged) model.

Run by hand, not by `make test`: it needs upstream's packages and PEFT on the path (README.md has the commands).
Every line prints the relative L2 distance of sampled mels; above the bar the script exits 1.
"""
import argparse
import copy
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import compare_upstream  # noqa: E402
import convert_lib as lib  # noqa: E402
import f5lib  # noqa: E402
from convert_lib import rc  # noqa: E402

BAR = 1e-5
ARCH = dict(dim=64, depth=2, heads=2, ff_mult=2, text_dim=32, conv_layers=2)
FRAMES, COND, TOKENS = 70, 21, 30


class Wrapped(torch.nn.Module):
    """What torch.compile returns, which torch 1.13 does not have yet: the module under the name _orig_mod."""

    def __init__(self, module):
        super().__init__()
        self._orig_mod = module


class Bench:
    def __init__(self, folder, seed):
        self.folder, self.generator = folder, torch.Generator().manual_seed(seed)
        self.f5, _, self.mel_spec = compare_upstream.import_upstream()
        import ema_pytorch
        import peft
        import safetensors.torch
        peft.PeftModel.create_or_update_model_card = lambda *_: None  # a README, by jinja2
        self.ema, self.peft, self.safetensors = ema_pytorch.EMA, peft, safetensors.torch
        self.made = rc.make_checkpoint(folder / "files", "tiny", seed=seed, heads=2)
        self.vocab, self.worst, self.count = len(self.made["vocab"]), 0.0, 0

    def model(self, vocab=None, **arch):
        """Upstream's CFM around a DiT, with fresh weights."""
        dit = self.f5.DiT(text_num_embeds=vocab or self.vocab, mel_dim=100, **{**ARCH, **arch})
        cfm = self.f5.CFM(transformer=dit, mel_spec_module=self.mel_spec())
        compare_upstream.randomize(cfm, self.generator)
        return cfm.eval()

    def other(self, cfm):
        """The same model with other weights."""
        other = copy.deepcopy(cfm)
        compare_upstream.randomize(other, self.generator)
        return other

    def ema_of(self, averaged, online, **options):
        """ema_pytorch's wrapper as the trainer has it, holding these two."""
        ema = self.ema(online, **options)
        ema.ema_model.load_state_dict(averaged.state_dict())
        return ema

    def trainer(self, averaged, online, **options):
        """What upstream's trainer saves, an optimizer that has stepped with it."""
        optimizer = torch.optim.AdamW(online.parameters(), lr=1e-5)
        kept = copy.deepcopy(online.state_dict())
        for p in online.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
        online.load_state_dict(kept)
        return dict(model_state_dict=online.state_dict(), optimizer_state_dict=optimizer.state_dict(),
                    ema_model_state_dict=self.ema_of(averaged, online, include_online_model=False).state_dict(),
                    scheduler_state_dict={}, update=7)

    def path(self, name):
        return self.folder / name

    def save(self, value, name="model.pt", **options):
        torch.save(value, self.path(name), **options)
        return dict(checkpoint=self.path(name))

    def save_safe(self, tensors):
        self.safetensors.save_file({k: v.contiguous().clone() for k, v in tensors.items()},
                                   str(self.path("model.safetensors")))
        return dict(checkpoint=self.path("model.safetensors"))

    def lora(self, cfm, base=None, scale=1.0, binary=False, edit=None, **settings):
        """Trains nothing, but gives a fresh adapter working weights, saves it, and lets PEFT load and merge it."""
        base = base or cfm
        config = self.peft.LoraConfig(**{**dict(r=8, lora_alpha=16, init_lora_weights=False), **settings})
        with_adapter = self.peft.PeftModel(copy.deepcopy(base), config)
        with torch.no_grad():
            for name, p in with_adapter.named_parameters():
                if "lora_" in name or "modules_to_save" in name:
                    p.copy_(0.04 * torch.randn(p.shape, generator=self.generator))  # changes below the weights' size
        folder = self.path("adapter")
        shutil.rmtree(folder, ignore_errors=True)
        with_adapter.save_pretrained(folder, safe_serialization=not binary)
        if edit:
            text = (folder / "adapter_config.json").read_text()
            assert edit[0] in text, text
            (folder / "adapter_config.json").write_text(text.replace(*edit))
        loaded = self.peft.PeftModel.from_pretrained(copy.deepcopy(base), str(folder))
        for module in loaded.modules():
            if hasattr(module, "scale_layer"):
                module.scale_layer(scale)
        merged = loaded.merge_and_unload()
        return merged, dict(lora=folder, **({} if scale == 1 else {"lora_scale": scale}))

    def recording_and_text(self, vocab):
        cond = torch.randn(COND, 100, generator=self.generator) - 3
        return cond, torch.randint(0, vocab, (TOKENS,), generator=self.generator)

    def compare(self, what, reference, options, config=None, vocab=None, said="", tokens=None):
        """reference: upstream's model as it should come out."""
        self.count += 1
        out = self.path("out.f5")
        files = {**({"config": config} if config else {}), **({"vocab": vocab} if vocab else {}), **options}
        result = lib.convert(self.made, out, **files)
        if result.returncode or said not in result.stdout:
            print(f"          BAD  {what}: {result.stderr}{result.stdout}", flush=True)
            self.worst = float("inf")
            return
        cond, drawn = self.recording_and_text(reference.transformer.text_embed.text_embed.num_embeddings - 1)
        drawn = drawn if tokens is None else torch.tensor(tokens)
        with torch.no_grad():
            theirs, _ = copy.deepcopy(reference).sample(cond[None], drawn[None], FRAMES, seed=5, steps=7, cfg_strength=2.0,
                                         sway_sampling_coef=-1.0)
        torch.manual_seed(5)
        noise = torch.randn(FRAMES, 100).numpy()
        with f5lib.Engine(out, max_frames=128) as engine:
            mine = engine.sample([dict(cond=cond.numpy(), tokens=drawn.numpy(), frames=FRAMES, noise=noise)], nfe=7)[0]
        theirs = theirs[0, COND:].numpy().astype(np.float64)
        distance = float(np.linalg.norm(mine[COND:] - theirs) / np.linalg.norm(theirs))
        self.worst = max(self.worst, distance if distance == distance else float("inf"))
        print(f"{distance:9.2e}  {'ok ' if distance <= BAR else 'BAD'}  {what}", flush=True)

    def edited_yaml(self, *edit):
        path = self.path("edited.yaml")
        text = Path(self.made["yaml"]).read_text()
        assert edit[0] in text, text
        path.write_text(text.replace(*edit))
        return path


def both_weights(b):
    averaged = b.model()
    online = b.other(averaged)
    ema = b.ema_of(averaged, online, include_online_model=False).state_dict()
    b.compare("EMA as safetensors", averaged, b.save_safe(ema), said="averaged (ema)\n")
    b.compare("a plain state dict as safetensors", online, b.save_safe(online.state_dict()), said="one set")
    trained = b.trainer(averaged, online)
    b.compare("the trainer's file", averaged, b.save(trained), said="plain ones too (--weights model)")
    b.compare("the trainer's file, --weights model", online, dict(b.save(trained), weights="model"),
              said="averaged ones too (--weights ema)")
    online_too = dict(ema_model_state_dict=b.ema_of(averaged, online, include_online_model=True).state_dict())
    b.compare("EMA that holds the online model", averaged, b.save(online_too), said="averaged (ema)")
    b.compare("EMA that holds the online model, --weights model", online, dict(b.save(online_too), weights="model"),
              said="training (model)")
    b.compare("model_state_dict alone", online, b.save(dict(model_state_dict=online.state_dict())),
              said="training (model); the file has no others")
    b.compare("EMA alone, --weights model", averaged, dict(b.save(dict(ema_model_state_dict=ema)), weights="model"),
              said="averaged (ema); the file has no others")


def wrappers(b):
    cfm = b.model()
    parallel = torch.nn.DataParallel(cfm).state_dict()
    assert all(k.startswith("module.") for k in parallel)
    b.compare("DDP: module.", cfm, b.save(dict(model_state_dict=parallel)))
    b.compare("torch.compile: _orig_mod.", cfm, b.save_safe(Wrapped(cfm).state_dict()))
    b.compare("DDP around torch.compile", cfm, b.save(torch.nn.DataParallel(Wrapped(cfm)).state_dict()))
    ema = {f"ema_model.module.{k}": v for k, v in cfm.state_dict().items()}
    b.compare("ema_model.module.", cfm, b.save(dict(ema_model_state_dict=ema)))
    holder = torch.nn.Module()
    holder.model = cfm
    b.compare("Lightning: state_dict, model.", cfm, b.save(dict(state_dict=holder.state_dict(), epoch=3)))
    inner = copy.deepcopy(cfm)
    inner.transformer = Wrapped(inner.transformer)
    b.compare("a compiled transformer: transformer._orig_mod.", cfm, b.save_safe(inner.state_dict()))
    b.compare("the DiT alone", cfm, b.save_safe(cfm.transformer.state_dict()))
    b.compare("the DiT alone, in model, DDP", cfm,
              b.save(dict(model=torch.nn.DataParallel(cfm.transformer).state_dict())))


def numbers(b):
    for factor in (2.5, 4.0):
        cfm = b.model(ff_mult=factor)
        b.compare(f"ff_mult {factor}", cfm, b.save_safe(cfm.state_dict()),
                  config=b.edited_yaml("ff_mult: 2", f"ff_mult: {factor}"))
    cfm = b.model()
    double = {k: v.double() for k, v in cfm.state_dict().items()}
    b.compare("float64, safetensors", cfm, b.save_safe(double), said="from float64")
    b.compare("float64, torch", cfm, b.save(dict(model_state_dict=double)), said="from float64")
    for kind in (torch.float16, torch.bfloat16):
        narrow = {k: v.to(kind) for k, v in cfm.state_dict().items()}
        rounded = copy.deepcopy(cfm)
        rounded.load_state_dict({k: v if "inv_freq" in k else narrow[k].float() for k, v in cfm.state_dict().items()})
        b.compare(f"{kind}", rounded, b.save(dict(ema_model_state_dict={f"ema_model.{k}": v for k, v in narrow.items()})))
        rounded.load_state_dict({k: v.float() for k, v in narrow.items()})
        b.compare(f"{kind}, --stored-rotary", rounded, {**b.save(dict(model_state_dict=narrow)), "stored_rotary": True})


def legacy(b):
    averaged = b.model()
    online = b.other(averaged)
    old = dict(_use_new_zipfile_serialization=False)
    trained = b.trainer(averaged, online)
    b.compare("torch before 1.6: the trainer's file", averaged, b.save(trained, **old), said="averaged (ema)")
    b.compare("torch before 1.6, --weights model", online, dict(b.save(trained, **old), weights="model"))
    views = {k: v.t().contiguous().t() if v.dim() == 2 else v for k, v in online.state_dict().items()}
    b.compare("torch before 1.6, protocol 4, DDP, transposed", online,
              b.save({f"module.{k}": v for k, v in views.items()}, pickle_protocol=4, **old))


def vocabularies(b):
    """Some lines twice: ids stay line numbers, the embedding is as many rows smaller."""
    lines = list(b.made["vocab"])
    lines[50], lines[70], lines[-1] = lines[40], lines[41], lines[42]
    path = b.path("vocab.txt")
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    from f5_tts.model.utils import get_tokenizer
    ids, size = get_tokenizer(str(path), "custom")
    assert size <= len(lines) - 3
    cfm = b.model(vocab=size)
    text = [t for t in lines[:size] if ids[t] < size]
    tokens = [ids[t] for t in (text * 2)[:TOKENS]]
    b.compare("a vocabulary with lines twice", cfm, b.save_safe(cfm.state_dict()), vocab=path, tokens=tokens,
              said="cannot be said:")
    with f5lib.Engine(b.path("out.f5"), max_frames=128) as engine:
        for token in lines:
            mine = engine.tokenize(token) if token.isalnum() and len(token) == 1 else None
            theirs = ids[token] if ids[token] < size else 0
            assert mine is None or list(mine) == [theirs], (token, mine, theirs)


def adapters(b):
    cfm = b.model()
    attention = ["to_q", "to_k", "to_v", "to_out.0"]
    base = b.save_safe(cfm.state_dict())

    def lora(what, reference=cfm, files=base, **settings):
        merged, options = b.lora(reference, **settings)
        b.compare(f"LoRA: {what}", merged if hasattr(merged, "sample") else reference, {**files, **options},
                  said="changed by")
        return merged

    lora("attention", target_modules=attention)
    lora("every linear layer, rslora, scale 0.8, .bin", scale=0.8, binary=True, use_rslora=True,
         target_modules=attention + ["ff.ff.0.0", "ff.ff.2", "attn_norm.linear", "norm_out.linear", "proj", "proj_out",
                                     "time_mlp.0", "time_mlp.2", "pwconv1", "pwconv2"])
    lora("patterns of rank and alpha", target_modules=attention, rank_pattern={"to_q": 4, "transformer_blocks.1.attn.to_k": 3},
         alpha_pattern={"to_v": 5})
    lora("modules_to_save", target_modules=["to_q"], modules_to_save=["proj_out"])
    lora("fan_in_fan_out in the file", target_modules=["to_q", "to_k"], edit=('"fan_in_fan_out": false',
                                                                                '"fan_in_fan_out": true'))
    online = b.other(cfm)
    lora("on the weights of training", reference=online, files=dict(b.save(b.trainer(cfm, online)), weights="model"),
         target_modules=attention)
    bare = copy.deepcopy(cfm)
    merged, options = b.lora(cfm, base=cfm.transformer, target_modules=attention)
    bare.transformer = merged
    b.compare("LoRA: of the DiT alone", bare, {**base, **options})


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--only", help="one group of checkpoints, by its function's name")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "little"))
    options = options.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        b = Bench(Path(folder), options.seed)
        print(f"peft {b.peft.__version__}")
        for group in (both_weights, wrappers, numbers, legacy, vocabularies, adapters):
            if options.only in (None, group.__name__):
                group(b)
        print(f"{b.count} checkpoints, worst {b.worst:.2e}, bar {BAR:.0e}")
        return int(b.worst > BAR)


if __name__ == "__main__":
    sys.exit(main())
