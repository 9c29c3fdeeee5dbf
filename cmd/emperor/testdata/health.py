"""A site that can fall ill, under uWSGI and gunicorn.

/up        is answered with 500 when the file "ill" is beside it, unless there was
           one called "cured" when it started
/work?s=N  is answered after N seconds, all at once
/          answers with "release 0 pid N"; POST /echo with the request's body
"""
import os
import time
from urllib.parse import parse_qs

HERE = os.path.dirname(os.path.abspath(__file__))
CURED = os.path.exists(os.path.join(HERE, "cured"))


def application(environ, start_response):
    status, path = "200 OK", environ["PATH_INFO"]
    body = b"release 0 pid %d\n" % os.getpid()
    if path == "/up" and os.path.exists(os.path.join(HERE, "ill")) and not CURED:
        status = "500 Internal Server Error"
    if path == "/work":
        time.sleep(float(parse_qs(environ["QUERY_STRING"])["s"][0]))
    if path == "/echo":
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
