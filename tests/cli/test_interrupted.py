"""Ctrl-C ends with 130 whenever it comes: while modules are loaded, and a second time while the
first is answered. Python itself would end by the signal, with -2."""

import sys

from assay import __main__
from assay.cli import main as command


class Interrupting:
    """Finds modules; when this one is asked for, somebody presses Ctrl-C."""

    def find_spec(self, name, path=None, target=None):
        if name == "assay.cli.main":
            raise KeyboardInterrupt


def test_while_modules_are_loaded(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "assay.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert __main__.run() == 130
    assert capsys.readouterr().err == "interrupted; the same command resumes\n"


def test_pressed_again_while_the_first_is_answered(monkeypatch):
    def interrupted(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "answer", interrupted)
    monkeypatch.setattr(command, "refuse", interrupted)
    monkeypatch.setattr(sys, "argv", ["assay", "list"])
    assert __main__.run() == 130
