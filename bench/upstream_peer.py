"""bench/upstream_peer.py — upstream's own package, run as its users run it: for f5bench.py e2e --upstream.

Needs f5-tts and vocos on the path, for instance
    python3 -m pip install --no-deps --target SITE f5-tts vocos x-transformers einops einx torchdiffeq encodec loguru \
        pypinyin rjieba torch-einops-utils packaging
    PYTHONPATH=SITE bench/f5bench.py e2e --upstream
What only its training and downloads import is stood in for (tests/reference/compare_upstream.py).
"""
import torch

from workload import REF_FRAMES
from reference import compare_upstream  # found by workload


class Upstream:
    """CFM.sample and the Vocos of upstream on our weights: eager, 16-bit model, float32 vocoder."""

    def __init__(self, made, dtype, device="cuda"):
        f5, vocos, mel_spec = compare_upstream.import_upstream()
        c = made["config"]
        keys = ("dim", "depth", "heads", "ff_mult", "text_dim", "conv_layers", "text_mask_padding", "pe_attn_head")
        dit = f5.DiT(text_num_embeds=len(made["vocab"]), mel_dim=100, **{k: c[k] for k in keys})
        self.cfm = f5.CFM(transformer=dit, mel_spec_module=mel_spec())
        self.load(self.cfm, made["model"])
        self.cfm = self.cfm.to(device=device, dtype=dtype).eval()
        self.backbone = vocos.models.VocosBackbone(input_channels=100, dim=c["vocos_dim"],
                                                   intermediate_dim=c["vocos_ff_dim"], num_layers=c["vocos_layers"])
        self.head = vocos.heads.ISTFTHead(dim=c["vocos_dim"], n_fft=1024, hop_length=256, padding=c["vocos_padding"])
        both = torch.nn.ModuleDict({"backbone": self.backbone, "head": self.head})
        self.load(both, made["vocos"])
        both.to(device).eval()
        self.device = device

    @staticmethod
    def load(module, arrays):
        """Every parameter must be given; what is given beyond (mel filters) is left."""
        missing, _ = module.load_state_dict({k: torch.as_tensor(v) for k, v in arrays.items()}, strict=False)
        parameters = {k for k, _ in module.named_parameters()}
        assert not parameters & set(missing), sorted(parameters & set(missing))

    @torch.inference_mode()
    def __call__(self, cond, tokens, frames, nfe):
        cond, tokens = (torch.as_tensor(a, device=self.device)[None] for a in (cond, tokens))
        mel, _ = self.cfm.sample(cond, tokens.long(), frames, steps=nfe, cfg_strength=2.0, sway_sampling_coef=-1.0)
        self.mel = mel[0].float()
        return self.head(self.backbone(self.mel[REF_FRAMES:].t()[None]))[0].cpu().numpy()
