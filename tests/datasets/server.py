"""A server of one file that does what servers and lines do: drops connections, damages bytes, ignores ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server does; ``ranges`` records the Range header of each request."""

    content: bytes
    drop_after: int | None = None
    """Bytes of a body after which the connection ends, each time."""
    ranges_work: bool = True
    if_range_works: bool = True
    etag: bool = True
    length: bool = True
    damage: dict[int, int] = field(default_factory=dict)
    """Request number, from 0 -> byte of its body that is flipped."""
    refusals: list[int] = field(default_factory=list)
    """Status codes of the first requests."""
    ranges: list[str | None] = field(default_factory=list)

    @property
    def tag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:12]}"'


@contextmanager
def serve(behaviour: Behaviour) -> Iterator[str]:
    """Serve on a free port of this machine and give the file's address."""
    httpd = ThreadingHTTPServer(('127.0.0.1', 0), _handler(behaviour))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={'poll_interval': 0.01}, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{httpd.server_port}/set.zip'
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def _handler(behaviour: Behaviour) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'

        def do_GET(self) -> None:
            number = len(behaviour.ranges)
            asked = self.headers.get('Range')
            behaviour.ranges.append(asked)
            self.close_connection = True
            if number < len(behaviour.refusals):
                self.send_response(behaviour.refusals[number])
                self.send_header('Retry-After', '3')
                self.send_header('Content-Length', '0')
                self.end_headers()
                return
            whole, start = behaviour.content, 0
            changed = behaviour.if_range_works and self.headers.get('If-Range') not in (None, behaviour.tag)
            if asked and behaviour.ranges_work and not changed:
                start = int(asked.removeprefix('bytes=').split('-')[0])
                if start >= len(whole):
                    self.send_response(416)
                    self.send_header('Content-Length', '0')
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header('Content-Range', f'bytes {start}-{len(whole) - 1}/{len(whole)}')
            else:
                self.send_response(200)
            body = bytearray(whole[start:])
            if behaviour.length:
                self.send_header('Content-Length', str(len(body)))
            if behaviour.etag:
                self.send_header('ETag', behaviour.tag)
            self.end_headers()
            if number in behaviour.damage:
                body[behaviour.damage[number]] ^= 0xFF
            self.wfile.write(body[: behaviour.drop_after])

        def log_message(self, *_: object) -> None:
            pass

    return Handler
