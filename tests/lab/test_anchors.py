"""Time stamps of a stand-in authority that openssl signs for: what is of this hash and signed by an
authority that is trusted is verified, and nothing else."""

import contextlib
import http.server
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from assay.cli.main import main
from assay.lab.judge import anchors, registered
from assay.verbs.new import write_experiment

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
SETTINGS = """
[ca]
basicConstraints = critical,CA:true
[tsa]
extendedKeyUsage = critical,timeStamping
[tsa_config]
serial = serial
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[req]
distinguished_name = dn
[dn]
"""
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
FREEZE = ("preregister", "own.py", "--set", "seed=1000:1008", "--set", "steps=5", "--root", "s")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A folder with the certificates of a root and of an authority that it signed."""
    folder = tmp_path_factory.mktemp("authority")
    with contextlib.chdir(folder):
        Path("tsa.cnf").write_text(SETTINGS)
        Path("serial").write_text("01\n")
        more = ("-config", "tsa.cnf", "-subj")
        own = ("-keyout", "ca.key", "-out", "ca.pem", "-extensions", "ca")
        openssl("req", "-x509", *KEY, *own, *more, "/CN=Root")
        openssl("req", "-new", *KEY, "-keyout", "tsa.key", "-out", "tsa.csr", *more, "/CN=Stand-in")
        signs = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", "tsa.pem")
        openssl(
            "x509", "-req", "-in", "tsa.csr", *signs, "-extfile", "tsa.cnf", "-extensions", "tsa"
        )
    return folder


@contextlib.contextmanager
def serving(folder, garbage=b""):
    """The address of an authority on this machine; with `garbage` it answers just that."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            query = self.rfile.read(int(self.headers["Content-Length"]))
            (folder / "in.tsq").write_bytes(query)
            with contextlib.chdir(folder):
                signer = ("-signer", "tsa.pem", "-inkey", "tsa.key", "-chain", "ca.pem")
                how = ("-config", "tsa.cnf", "-section", "tsa_config", "-out", "out.tsr")
                openssl("ts", "-reply", "-queryfile", "in.tsq", *signer, *how)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(garbage or (folder / "out.tsr").read_bytes())

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with an experiment."""
    monkeypatch.chdir(tmp_path)
    write_experiment("own", tmp_path)
    return tmp_path


def frozen_in(folder):
    return registered.read(next(folder.glob("*.prereg.json")))


def test_a_time_stamp_is_verified_by_a_trusted_authority_alone(here, authority, capsys):
    with serving(authority) as address:
        assert main([*FREEZE, "--anchor", address]) == 0
    frozen = frozen_in(here)
    assert f"OSF entry: assay:{frozen.hash[:32]}" in capsys.readouterr().out
    (verified,) = anchors.stamps(frozen, authority / "ca.pem")
    assert verified.checked and not verified.wrong and verified.time >= frozen.time
    assert "Stand-in" in verified.by
    (unknown,) = anchors.stamps(frozen)
    assert not unknown.checked and not unknown.wrong
    (other,) = anchors.stamps(frozen, authority / "tsa.pem")  # no root
    assert "no authority" in other.wrong
    name = str(frozen.path)
    assert main(["verify", name]) == 0
    assert "stated, not checked" in capsys.readouterr().out
    assert main(["verify", name, "--authority", str(authority / "ca.pem")]) == 0
    assert "verified, so it was frozen by then" in capsys.readouterr().out.replace("\n  ", " ")


@pytest.mark.parametrize("harm", ["another hash", "a changed byte", "text"])
def test_a_time_stamp_of_something_else_is_wrong(here, authority, harm):
    assert main([*FREEZE]) == 0
    frozen = frozen_in(here)
    digest = "0" * 64 if harm == "another hash" else frozen.hash
    query, reply = str(here / "q.tsq"), anchors.place(frozen.path)
    openssl("ts", "-query", "-digest", digest, "-sha256", "-cert", "-out", query)
    with contextlib.chdir(authority):
        signer = ("-signer", "tsa.pem", "-inkey", "tsa.key", "-chain", "ca.pem")
        how = ("-config", "tsa.cnf", "-section", "tsa_config", "-out", str(reply))
        openssl("ts", "-reply", "-queryfile", query, *signer, *how)
    if harm == "a changed byte":
        content = bytearray(reply.read_bytes())
        content[-8] ^= 1  # of the signature
        reply.write_bytes(bytes(content))
    if harm == "text":
        reply.write_text("frozen long ago")
    for trusted in (None, authority / "ca.pem"):
        (found,) = anchors.stamps(frozen, trusted)
        assert not found.checked
        if trusted or harm != "a changed byte":
            assert found.wrong
    assert main(["verify", str(frozen.path), "--authority", str(authority / "ca.pem")]) == 1


def test_what_gives_no_time_stamp_is_one_line_and_what_is_frozen_stays(here, authority, capsys):
    assert main([*FREEZE, "--anchor", "ftp://somewhere"]) == 2
    assert not list(here.glob("*.prereg.*"))
    with serving(authority, garbage=b"not today") as address:
        for place, why in ((address, "cannot be read by openssl"), ("http://127.0.0.1:9/", "(")):
            capsys.readouterr()
            assert main([*FREEZE, "--anchor", place]) == 2
            err = capsys.readouterr().err
            assert "gives no time stamp" in err and why in err and err.count("\n") == 1
    assert frozen_in(here) and not list(here.glob("*.tsr"))
