"""deploy/kubernetes: what the manifests say fits together, and fits the programs that they start. Against Kubernetes' own
schemas too where Python's kubernetes_validate is (pip install kubernetes-validate)."""
import re
import subprocess
from pathlib import Path

import pytest

import convert_lib

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))


def documents(path):
    return {d["kind"]: d for d in yaml.safe_load_all(path.read_text(encoding="utf-8"))}


def container(path):
    only, = documents(path)["Deployment"]["spec"]["template"]["spec"]["containers"]
    return only


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_fits_the_other(path):
    found = documents(path)
    assert set(found) == {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"}
    spec = found["Deployment"]["spec"]
    labels, ports = spec["template"]["metadata"]["labels"], {p["name"]: p["containerPort"] for p in container(path)["ports"]}
    assert spec["selector"]["matchLabels"] == found["Service"]["spec"]["selector"] == labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": found["Deployment"]["metadata"]["name"]}
    assert {p["targetPort"] for p in found["Service"]["spec"]["ports"]} <= set(ports)
    assert all(container(path)[probe]["httpGet"]["port"] in ports for probe in ("startupProbe", "readinessProbe", "livenessProbe"))
    assert int(spec["template"]["metadata"]["annotations"]["prometheus.io/port"]) in ports.values()
    assert found["HorizontalPodAutoscaler"]["spec"]["minReplicas"] > found["PodDisruptionBudget"]["spec"]["minAvailable"]
    mounts, volumes = ({m["name"] for m in where} for where in (container(path)["volumeMounts"], spec["template"]["spec"]["volumes"]))
    assert mounts == volumes


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_has_begun_may_end(path):
    """The pod is given the time that its server takes to drain, after the service has forgotten it."""
    drain = int(re.search(r"(?:--drain_seconds |--exit-timeout-secs=)(\d+)", " ".join(container(path)["args"]))[1])
    forgets = int(container(path)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert documents(path)["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + forgets + 5


def test_what_serve_has():
    """Options, paths, the metric, the port, the image's version."""
    serve, path = container(FILES[0]), FILES[0]
    told = subprocess.run([convert_lib.program(), "serve", "--help"], capture_output=True, text=True, check=True).stdout
    for option in (word for word in serve["args"] if word.startswith("--")):
        assert re.search(rf"^ .*{option}\b", told, flags=re.M), option
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "host/server").glob("*.c"))
    paths = {serve[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} | {"/metrics"}
    assert all(f'"{p}"' in sources for p in paths)
    metric = documents(path)["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert metric in sources
    version = re.search(r"project\(f5tts VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[1]
    assert serve["image"] == f"f5tts:{version}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_schemas(path):
    schemas = pytest.importorskip("kubernetes_validate")
    for document in documents(path).values():
        for version in ("1.28", "1.31", "1.34"):
            schemas.validate(document, version, strict=True)
