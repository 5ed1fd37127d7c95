"""GPU tests are skipped, visibly, where there is no GPU; a GPU without the library is an error."""
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def pytest_collection_modifyitems(config, items):
    """F5_GPU_SAMPLE=n runs every n-th test only: the sanitizers are slow."""
    here = Path(__file__).resolve().parent
    ours = [item for item in items if here in Path(str(item.fspath)).resolve().parents]
    if not torch.cuda.is_available():
        for item in ours:
            item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))
        return
    every = int(os.environ.get("F5_GPU_SAMPLE", "1"))
    dropped = [item for i, item in enumerate(ours) if i % every]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in set(dropped)]


@pytest.fixture(scope="session")
def gpu():
    from gpubind import Gpu
    opened = Gpu()
    yield opened
    opened.close()


@pytest.fixture(params=["sm90", "sm80"])
def path(request, gpu):
    """Each instruction path in turn; one that this device does not have is skipped by name. None: the device's own, for
    ops that have one kernel for all."""
    if request.param is None:
        yield gpu.path
        return
    gpu.limit(request.param)
    if gpu.path != request.param:
        gpu.limit("sm90")
        pytest.skip(f"this device or build has no {request.param} path")
    yield request.param
    gpu.limit("sm90")


@pytest.fixture(scope="session")
def weights(tmp_path_factory, seed):
    import synth
    synth.reference.exact_math()
    return synth.Weights(tmp_path_factory.mktemp("gpu_models"), seed)


@pytest.fixture(scope="session")
def demo(tmp_path_factory, seed):
    """A small model: its path, and the size of its vocabulary."""
    import f5file
    path = tmp_path_factory.mktemp("gpu_demo") / "demo.f5"
    return str(path), len(f5file.write_model(path, "demo", seed=seed)["vocab"])
