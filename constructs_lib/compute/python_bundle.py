"""Lambda code with its packages, bundled by uv on this machine: no Docker, and the same bytes every time."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsii
import uv
from aws_cdk import AssetHashType, BundlingOptions, DockerImage, ILocalBundling
from aws_cdk import aws_lambda as lambda_

_PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def python_bundle(source: Path, *, requirements: Path, python: str, architecture: lambda_.Architecture) -> lambda_.Code:
    """The folder `source` together with the wheels that `requirements` pins.

    The asset's hash covers the sources, the pins, the platform and the Python version, so it is known without bundling.

    :param source: folder that becomes the root of the function's code
    :param requirements: requirements file with every hash, as ``uv pip compile --generate-hashes`` writes it
    :param python: version of the runtime, such as ``3.14``
    :param architecture: of the function; wheels are taken for it, whatever this machine is
    """
    platform = _PLATFORMS[architecture.name]
    digest = fingerprint(source, requirements, extra=f"{platform} {python}")
    return lambda_.Code.from_asset(
        str(source.resolve()),
        asset_hash_type=AssetHashType.CUSTOM,
        asset_hash=digest,
        bundling=BundlingOptions(
            image=DockerImage("unused: the local bundling below always succeeds or raises"),
            local=_UvBundling(source, requirements, platform, python),
        ),
    )


def fingerprint(*paths: Path, extra: str = "") -> str:
    """SHA-256, in hexadecimal, over names and contents of files and folders, without what Python caches among them.

    :param paths: files and folders; the names of files are taken relative to the folder
    :param extra: text to cover besides them. Default: none
    """
    digest = hashlib.sha256(extra.encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                name = file.relative_to(path).as_posix() if file != path else file.name
                digest.update(f"\n{name}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def bundle(source: Path, requirements: Path, platform: str, python: str, output: Path) -> None:
    """Copy `source` to `output` and install the wheels of `requirements` for `platform` and `python` next to it.

    :raises subprocess.CalledProcessError: if a pinned package has no such wheel or does not match its hash; uv has then
        said why
    """
    shutil.copytree(source, output, ignore=_IGNORED, dirs_exist_ok=True)
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--target", str(output)]
    install += ["--python-platform", platform, "--python-version", python]
    install += ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--no-installer-metadata"]
    subprocess.run([*install, "--requirements", str(requirements)], check=True)  # noqa: S603 - no user input
    # Console scripts carry this machine's paths, and the lock file is uv's own.
    shutil.rmtree(output / "bin", ignore_errors=True)
    (output / ".lock").unlink(missing_ok=True)


@jsii.implements(ILocalBundling)
class _UvBundling:
    def __init__(self, source: Path, requirements: Path, platform: str, python: str) -> None:
        self._arguments = (source, requirements, platform, python)

    def try_bundle(self, output_dir: str, *_: Any, **_options: Any) -> bool:
        bundle(*self._arguments, Path(output_dir))
        return True
