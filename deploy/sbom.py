#!/usr/bin/env python3
"""sbom.py — what a package of ours is made of, as SPDX 2.3 in JSON.

    deploy/sbom.py out/deb/*.deb > out/f5tts.spdx.json

Each package with its SHA-256 and its licence; what it depends on, with the version that is installed here; the data of
others that is in the tree. The date is that of the last commit: the same packages give the same bytes.
"""
import hashlib
import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = {"jieba": ("0.42.1", "MIT"), "pypinyin": ("0.55.0", "MIT"), "SWivid/F5-TTS vocab.txt": ("1.1.22", "MIT")}


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def identifier(name):
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def package(name, version, licence, **more):
    return {"SPDXID": identifier(name), "name": name, "versionInfo": version, "licenseConcluded": licence,
            "licenseDeclared": licence, "copyrightText": "NOASSERTION", "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False, **more}


def installed_version(name):
    found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", name], capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 and found.stdout.strip() else "NOASSERTION"


def main(debs):
    if not debs:
        sys.exit("usage: deploy/sbom.py out/deb/*.deb")
    packages, relations = {}, set()
    for deb in debs:
        name, version, depends = (output("dpkg-deb", "-f", str(Path(deb).resolve()), key)
                                  for key in ("Package", "Version", "Depends"))
        digest = hashlib.sha256(Path(deb).read_bytes()).hexdigest()
        packages[name] = package(name, version, "MIT", packageFileName=Path(deb).name,
                                 checksums=[{"algorithm": "SHA256", "checksumValue": digest}])
        relations.add(("SPDXRef-DOCUMENT", "DESCRIBES", identifier(name)))
        for needed in filter(None, re.split(r",\s*", depends)):
            other = re.match(r"[a-z0-9.+-]+", needed)[0]
            packages.setdefault(other, package(other, installed_version(other), "NOASSERTION"))
            relations.add((identifier(name), "DEPENDS_ON", identifier(other)))
    for name, (version, licence) in DATA.items():
        packages[name] = package(name, version, licence)
        relations.add((identifier("f5tts"), "CONTAINS", identifier(name)))
    commit, when = output("git", "log", "-1", "--format=%H %ct").split()
    created = datetime.fromtimestamp(int(when), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    json.dump({"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "f5tts",
               "documentNamespace": f"https://spdx.org/spdxdocs/f5tts-{commit}",
               "creationInfo": {"created": created, "creators": ["Tool: deploy/sbom.py", "Organization: f5tts authors"]},
               "packages": sorted(packages.values(), key=lambda p: p["SPDXID"]),
               "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
                                 for a, kind, b in sorted(relations)]}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main(sys.argv[1:])
