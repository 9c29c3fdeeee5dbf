"""A WSGI application without a framework: uWSGI and gunicorn both run it."""

import os


def application(environ, start_response):
    body = f"Hello from Python, process {os.getpid()}, asked as {environ.get('HTTP_HOST', 'nobody')}\n".encode()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
