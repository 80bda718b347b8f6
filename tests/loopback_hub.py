"""A hub on the loopback address that serves folders, in the protocol of huggingface.co: what a
revision is and holds, and its files, those in Git LFS after a redirect."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

LFS = (".safetensors", ".bin", ".npz", ".pt")


class LoopbackHub:
    """Serves repositories while it is entered; `address` is its endpoint, `requests` what was asked
    for, each as (path, Range)."""

    def __init__(self):
        self.revisions = {}
        self.gated = set()
        self.wrong = set()
        """Files of which the last byte is served as another."""
        self.cut = None
        """Bytes of a file in LFS after which each connection breaks."""
        self.requests = []
        self.tokens = {}
        """The Authorization of the last request for each path."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.elsewhere = f"http://localhost:{self.server.server_port}"
        """Where files in LFS lie: another host, as far as a client can see."""

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, repository, folder, *revisions):
        """Let these revisions be a commit with the folder's files; gives the commit."""
        content = "".join(f"{name}{sha256(folder / name)}" for name in _names(folder))
        commit = hashlib.sha1(content.encode()).hexdigest()
        for revision in (*(revisions or ("main",)), commit):
            self.revisions[repository, revision] = commit, folder
        return commit

    def answer(self, request):
        path = unquote(urlsplit(request.path).path)
        self.requests.append((path, request.headers.get("Range", "")))
        self.tokens[path] = request.headers.get("Authorization", "")
        _, *parts = path.split("/")
        if parts[:2] == ["api", "models"]:
            return self._list(request, "/".join(parts[2:4]), "/".join(parts[5:]) or "main")
        if parts[0] == "lfs":
            paths = [folder / "/".join(parts[2:]) for _, folder in self.revisions.values()]
            served = next(p for p in paths if p.exists() and sha256(p) == parts[1])
            return self._send(request, served, cut=self.cut)
        repository, rest = "/".join(parts[:2]), "/".join(parts[3:])
        revision = next(
            r for of, r in self.revisions if of == repository and rest.startswith(f"{r}/")
        )
        name = rest.removeprefix(f"{revision}/")
        if repository in self.gated:
            return _refuse(request, 401, "GatedRepo", "Access to this model is restricted.")
        commit, folder = self.revisions[repository, revision]
        if not name.endswith(LFS):
            return self._send(request, folder / name, {"X-Repo-Commit": commit})
        linked = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{sha256(folder / name)}"',
            "X-Linked-Size": str((folder / name).stat().st_size),
            "Location": f"{self.elsewhere}/lfs/{sha256(folder / name)}/{name}",
        }
        return _reply(request, 302, b"", linked)

    def _list(self, request, repository, revision):
        if not any(name == repository for name, _ in self.revisions):
            return _refuse(request, 401, "RepoNotFound", "Invalid username or password.")
        if (repository, revision) not in self.revisions:
            return _refuse(request, 404, "RevisionNotFound", f"Invalid rev id: {revision}")
        commit, folder = self.revisions[repository, revision]
        siblings = [_sibling(folder, name) for name in _names(folder)]
        answer = {"id": repository, "sha": commit, "siblings": siblings}
        return _reply(request, 200, json.dumps(answer).encode())

    def _send(self, request, path, headers=None, cut=None):
        body = path.read_bytes()
        if path.name in self.wrong:
            body = body[:-1] + bytes([body[-1] ^ 1])
        begin = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").strip("-"))
        headers = {"ETag": f'"{_blob(path)}"', "Accept-Ranges": "bytes", **(headers or {})}
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
        _reply(request, 206 if begin else 200, body[begin:], headers, cut)


def _reply(request, status, body, headers=None, cut=None):
    request.send_response(status)
    for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body[:cut])
    request.close_connection = cut is not None


def _refuse(request, status, code, message):
    body = json.dumps({"error": message}).encode()
    _reply(request, status, body, {"X-Error-Code": code, "X-Error-Message": message})


def _names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _sibling(folder, name):
    path = folder / name
    entry = {"rfilename": name, "size": path.stat().st_size, "blobId": _blob(path)}
    if path.name.endswith(LFS):
        entry["lfs"] = {"sha256": sha256(path), "size": path.stat().st_size, "pointerSize": 134}
    return entry


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _blob(path):
    """What Git calls a file that it holds; of a file in LFS, what it calls the pointer to it."""
    content = path.read_bytes()
    if path.name.endswith(LFS):
        content = (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{sha256(path)}\nsize {len(content)}\n"
        ).encode()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
