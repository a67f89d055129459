"""Make the pinned lists from the direct requirements: needs `uv` and the network; run by `make lock`."""

import re
import subprocess
from pathlib import Path

ENVS = Path(__file__).parent
PYTHON = "3.11"
CONDA = """\
# Made by `make lock` from requirements.txt: the same pins for conda users.
#   conda env create -f envs/environment.yaml
name: flatfield
channels: [conda-forge]
dependencies:
  - python>=3.11
  - pip
  - pip:
"""


def compile_pins(sources, target, *options):
    """Resolve for all platforms and Python versions, one version of each package where possible."""
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes"]
    command += ["--fork-strategy", "fewest", "--no-header", "--no-annotate", "--upgrade", *options]
    subprocess.run([*command, *sources, "-o", target], cwd=ENVS, check=True)


def main():
    """Write requirements*.txt and environment.yaml; those named oldest have the lowest versions of requirements.in."""
    compile_pins(["requirements.in"], "requirements.txt")
    for use in ("test", "bench", "site"):
        more = f"requirements-{use}.in"
        compile_pins(["requirements.in", more], f"requirements-{use}.txt", "-c", "requirements.txt")
    compile_pins(["requirements.in"], "requirements-oldest.txt", "--resolution", "lowest-direct")
    tests = ["requirements.in", "requirements-test.in"]
    compile_pins(tests, "requirements-test-oldest.txt", "-c", "requirements-oldest.txt")
    pins = re.findall(r"^([\w.-]+==[^\\\n]+?) *\\?$", (ENVS / "requirements.txt").read_text(), re.MULTILINE)
    (ENVS / "environment.yaml").write_text(CONDA + "".join(f'      - "{pin}"\n' for pin in pins))


if __name__ == "__main__":
    main()
