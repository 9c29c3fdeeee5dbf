"""The WSGI site that the end-to-end tests deploy, under uWSGI and gunicorn.

/            says which release answers: the word in the file RELEASE beside it
/echo        answers with the request's body
/slow?s=N    answers after N seconds, a byte every half second
/upgrade     switches to a protocol that echoes every line
"""
import base64
import hashlib
import os
import time
from urllib.parse import parse_qs

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "RELEASE")) as f:
    RELEASE = f.read().strip()

try:
    import uwsgi
except ImportError:
    uwsgi = None


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/echo":
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        start_response("200 OK", [("Content-Type", "application/octet-stream"),
                                  ("Content-Length", str(len(body)))])
        return [body]
    if path == "/slow":
        return slow(environ, start_response)
    if path == "/upgrade":
        return upgrade(environ, start_response)
    if path == "/crash":
        os._exit(1)
    body = ("release %s pid %d\n" % (RELEASE, os.getpid())).encode()
    start_response("200 OK", [("Content-Type", "text/plain"),
                              ("Content-Length", str(len(body)))])
    return [body]


def slow(environ, start_response):
    seconds = float(parse_qs(environ["QUERY_STRING"])["s"][0])
    start_response("200 OK", [("Content-Type", "text/plain")])
    end = time.time() + seconds
    while time.time() < end:
        time.sleep(min(0.5, max(0, end - time.time())))
        yield b"."
    yield b"done"


def accept_of(key):
    magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    return base64.b64encode(hashlib.sha1((key + magic).encode()).digest()).decode()


def upgrade(environ, start_response):
    if uwsgi is not None:
        uwsgi.websocket_handshake()
        while True:
            try:
                message = uwsgi.websocket_recv()
            except OSError:
                return [b""]
            uwsgi.websocket_send(message)
    # gunicorn hands out the connection itself; frames are echoed unmasked.
    sock = environ["gunicorn.socket"]
    sock.setblocking(True)
    sock.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                  % accept_of(environ["HTTP_SEC_WEBSOCKET_KEY"])).encode())
    stream = sock.makefile("rb")
    while True:
        head = stream.read(2)
        if len(head) < 2 or head[0] & 0x0F == 8:
            raise SystemExit  # the worker's thread ends this request, nothing else
        length = head[1] & 0x7F
        mask = stream.read(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(stream.read(length)))
        sock.sendall(bytes([0x81, length]) + data)
