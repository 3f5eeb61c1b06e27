"""`python -m rig.go_programs.pin 1.37.2` writes go.mod and go.sum of that Kubernetes.

Its own go.mod replaces what lies in its `staging` folder by paths; who uses the module has to replace it by versions.
All other parts are moved by `go get -tool PACKAGE@VERSION` and `go mod tidy` in their folders.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

from rig.go_programs.parts import GO
from rig.processes import run

MODULE = "k8s.io/kubernetes"
TEXT = """\
module pulltrace/{folder}

{go}

{godebug}

require {module} v{version}

replace (
{replaced})
"""


def main(version: str) -> int:
    """Write both files into a folder named after the minor version, beside the main.go that it shares with others."""
    major, minor, patch = version.split(".")
    folder = GO / f"kubernetes-{major}.{minor}"
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text(_go_mod(version, folder.name, f"v0.{minor}.{patch}"))
    (folder / "go.sum").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "main.go").write_bytes((GO / "kubernetes/main.go").read_bytes())
        (work / "go.mod").write_bytes((folder / "go.mod").read_bytes())
        run(["go", "mod", "tidy"], cwd=work, timeout=600)
        for file in ("go.mod", "go.sum"):
            (folder / file).write_bytes((work / file).read_bytes())
    return 0


def _go_mod(version: str, folder: str, staged: str) -> str:
    downloaded = run(["go", "mod", "download", "-json", f"{MODULE}@v{version}"], cwd=Path("/"), timeout=600)
    upstream = Path(json.loads(downloaded)["GoMod"]).read_text()
    modules = re.findall(r"^\t(\S+) => \./staging", upstream, re.MULTILINE)
    lines = {word: re.search(rf"^{word} .*$", upstream, re.MULTILINE) for word in ("go", "godebug")}
    return TEXT.format(
        folder=folder,
        module=MODULE,
        version=version,
        replaced="".join(f"\t{each} => {each} {staged}\n" for each in modules),
        **{word: found[0] if found else "" for word, found in lines.items()},
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
