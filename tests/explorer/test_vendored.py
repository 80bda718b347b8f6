"""What is not ours is as its authors published it, says its licence, and reaches the wheel's
folder."""

import hashlib
import tomllib
from importlib.resources import files

VENDOR = files("assay.explorer").joinpath("static", "vendor")
PACKAGES = tomllib.loads(VENDOR.joinpath("VENDORED.toml").read_text())["package"]


def test_every_vendored_file_has_the_hash_that_is_written():
    for package in PACKAGES:
        for file in package["files"]:
            content = VENDOR.joinpath(package["folder"], file["npm"].split("/")[-1]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"], (
                package["name"],
                file["npm"],
            )


def test_nothing_is_vendored_that_is_not_listed():
    listed = {
        f"{p['folder']}/{file['npm'].split('/')[-1]}" for p in PACKAGES for file in p["files"]
    }
    there = {
        f"{folder.name}/{file.name}"
        for folder in VENDOR.iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
    }
    assert there == listed


def test_every_package_has_its_licence_beside_it():
    words = {"0BSD": "Permission to use, copy, modify", "MIT": "The MIT License"}
    for package in PACKAGES:
        assert (
            words[package["licence"]] in VENDOR.joinpath(package["folder"], "LICENSE").read_text()
        )


def test_no_script_of_ours_needs_eval_or_another_host():
    text = VENDOR.parent.joinpath("explorer.js").read_text()
    assert "eval(" not in text
    assert "new Function" not in text
    assert "http" not in text
    assert "innerHTML" not in text
