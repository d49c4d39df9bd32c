"""The sdist and the wheel: built without a network, complete, nothing else in them; the wheel alone runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from packaging.metadata import Metadata

ROOT = Path(__file__).parent.parent
# Which setuptools writes itself, and what stands beside the package.
WRITTEN = {"PKG-INFO", "setup.cfg"}
BESIDE = {"pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}


@dataclass(frozen=True)
class Built:
    """What `python -m build` made of the tracked files."""

    sdist: Path
    wheel: Path
    package: frozenset[str]
    """Tracked files of the package, relative to src/."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("distribution")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    for name in tracked:
        place = folder / "tree" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(folder / "tree")]
    subprocess.run(command, check=True, capture_output=True, env=_environment())
    [sdist], [wheel] = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
    package = frozenset(name.removeprefix("src/") for name in tracked if name.startswith("src/"))
    return Built(sdist, wheel, package)


def _environment() -> dict[str, str]:
    """Without what points at the sources, and offline."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def test_the_wheel_holds_the_tracked_files_of_the_package_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        for name in sorted(names):
            assert wheel.read(name) == (ROOT / "src" / name).read_bytes(), name
    assert names == built.package
    suffixes = {PurePosixPath(name).suffix for name in names}
    assert suffixes >= {".py", ".yaml", ".safetensors", ".json", ".js", ".css", ".html", ".typed"}


def test_the_sdist_holds_what_the_wheel_is_built_from_and_nothing_else(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist.getmembers() if member.isfile()}
    package = {f"src/{name}" for name in built.package}
    made = {name for name in names if name.startswith("src/oger_rl.egg-info/")}
    assert names - made == package | BESIDE | WRITTEN


def test_the_metadata_is_valid_and_says_what_pyproject_says(built: Built) -> None:
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist], check=True)
    with zipfile.ZipFile(built.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("METADATA")]
        [scripts] = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        metadata = Metadata.from_email(wheel.read(name), validate=True)
        assert "oger = oger.cli.main:main" in wheel.read(scripts).decode()
    import oger

    assert (metadata.name, str(metadata.version)) == ("oger-rl", oger.__version__)
    assert metadata.license_expression == "Apache-2.0"
    assert "torch" in {requirement.name for requirement in metadata.requires_dist or ()}


@pytest.mark.soak
def test_the_wheel_alone_runs_quickstart_in_an_environment_of_its_own(built: Built, tmp_path: Path) -> None:
    """Its dependencies are lent by this environment, whose own oger is hidden behind the installed one."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", built.wheel]
    subprocess.run(install, check=True, env=_environment())
    [site] = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=empty, env=_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    place = run(python, "-c", "import oger; print(oger.__file__)").strip()
    assert place == str(site / "oger" / "__init__.py")
    oger = tmp_path / "venv" / "bin" / "oger"
    assert "everything is in runs/quickstart" in run(oger, "quickstart", "--steps", "2")
    assert (empty / "runs" / "quickstart" / "summary.json").is_file()
    run(oger, "report", "runs/quickstart")
    assert (empty / "report.html").stat().st_size > 1_000_000
    assert "everything that a run needs works" in run(oger, "doctor")
