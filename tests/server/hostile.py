#!/usr/bin/env python3
"""Does to a server what hostile and broken clients do, and looks whether honest ones are still served.

    cargo build --release --features full
    python3 tests/server/hostile.py target/release/badbatch

One line per case: the verdict, what was seen, and the server's memory and threads at the time. The exit status is 0 if
every case is well. Needs nothing but Python's own library; it takes about half a minute.
"""

import gzip
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

EVENTS = "/api/v1/disruptor/main/events"
failures = []


class Server:
    def __init__(self, program, *flags, files=None):
        def limit():
            if files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        command = [program, "server", "--bind", "127.0.0.1:0", "--log-level", "error", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=limit)
        greeting = b""
        while b"Ctrl-C" not in greeting:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server did not start")
            greeting += line
        host, port = re.search(rb"http://([\d.]+):(\d+)", greeting).groups()
        self.address = (host.decode(), int(port))
        self.peak = self.usage()

    def connect(self):
        return socket.create_connection(self.address, timeout=20)

    def usage(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status)
        return int(fields["VmRSS"].split()[0]) / 1024, int(fields["Threads"])

    def note(self):
        used = self.usage()
        self.peak = tuple(map(max, self.peak, used))
        return used

    def honest(self):
        """Milliseconds that an honest client's request takes, or None if it is not answered."""
        started = time.monotonic()
        try:
            with self.connect() as client:
                return (time.monotonic() - started) * 1000 if status(client, request("POST", EVENTS, b"1")) == 201 else None
        except OSError:
            return None

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)


def request(method, path, body=b"", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def head(client):
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = client.recv(4096)
        if not piece:
            break
        answer += piece
    return answer


def status(client, said):
    """The status of the answer, or 0 if the connection just ended."""
    try:
        client.sendall(said)
    except OSError:
        pass
    try:
        answer = head(client)
    except OSError:
        return 0
    return int(answer.split()[1]) if answer else 0


def case(server, name):
    """Runs a case: it gets the server and returns what it saw and whether that is well."""

    def run(body):
        started = time.monotonic()
        try:
            seen, is_well = body(server)
        except Exception as error:
            seen, is_well = f"{type(error).__name__}: {error}", False
        is_alive = server.process.poll() is None
        (memory, threads), honest = server.note() if is_alive else (0, 0), server.honest() if is_alive else None
        is_well = is_well and honest is not None
        if not is_well:
            failures.append(name)
        after = f"honest client {honest:.1f} ms" if honest is not None else "HONEST CLIENT NOT SERVED"
        took = time.monotonic() - started
        print(f"{'ok  ' if is_well else 'FAIL'} {name:34} {seen:52} {after:24} {memory:6.1f} MiB {threads:3} threads {took:5.1f} s", flush=True)

    return run


def during(server, hold):
    """Whether honest clients are served while these connections are held."""
    times = [server.honest() for _ in range(20)]
    server.note()
    for client in hold:
        client.close()
    missed = times.count(None)
    worst = max((value for value in times if value is not None), default=float("nan"))
    return f"{missed} of 20 honest clients missed, slowest {worst:.1f} ms", missed == 0


def main(program):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = Server(program)
    before = server.usage()

    @case(server, "500 half-open heads (slowloris)")
    def _(server):
        hold = [server.connect() for _ in range(500)]
        for client in hold:
            client.sendall(b"POST / HTTP/1.1\r\nHost: loc")
        return during(server, hold)

    @case(server, "500 half-sent short bodies")
    def _(server):
        hold = [server.connect() for _ in range(500)]
        for client in hold:
            client.sendall(request("POST", EVENTS, b"x" * 60000)[:-59000])
        return during(server, hold)

    @case(server, "2,000 half-sent short bodies")
    def _(server):
        hold = [server.connect() for _ in range(2000)]
        for client in hold:
            try:
                client.sendall(request("POST", EVENTS, b"x" * 60000)[:-59000])
            except OSError:
                pass  # It had to make room.
        return during(server, hold)

    @case(server, "200 half-sent long bodies")
    def _(server):
        hold = [server.connect() for _ in range(200)]
        for client in hold:
            client.sendall(request("POST", EVENTS, b"x" * 1000000)[:-900000])
        return during(server, hold)

    @case(server, "a body of 1 GiB, announced")
    def _(server):
        with server.connect() as client:
            said = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 30}\r\n\r\n".encode()
            seen = status(client, said)
            return f"status {seen}", seen == 413

    @case(server, "a body of 70 GB, announced")
    def _(server):
        with server.connect() as client:
            seen = status(client, f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000000000\r\n\r\n".encode())
            return f"status {seen}", seen == 413

    @case(server, "a body of 1 GiB, in chunks")
    def _(server):
        with server.connect() as client:
            client.sendall(f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            piece, sent = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n", 0
            try:
                for _ in range(1024):
                    client.sendall(piece)
                    sent += 1
            except OSError:
                pass
            try:
                seen = int(head(client).split()[1])
            except (OSError, IndexError):
                seen = 0
            return f"status {seen} after {sent} MiB", sent < 32

    @case(server, "a line of 1 GiB for the bulk endpoint")
    def _(server):
        with server.connect() as client:
            client.sendall(f"POST {EVENTS}/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 30}\r\n\r\n".encode())
            piece, sent = b"x" * (1 << 20), 0
            try:
                for _ in range(1024):
                    client.sendall(piece)
                    sent += 1
            except OSError:
                pass
            return f"ended after {sent} MiB", sent < 64

    @case(server, "zip bombs: 1 GiB in 1 MiB, 20 at once")
    def _(server):
        bomb = gzip.compress(b"1" * (1 << 30), 9)
        seen = []

        def drop():
            with server.connect() as client:
                seen.append(status(client, request("POST", EVENTS, bomb, ["Content-Encoding: gzip"])))

        threads = [threading.Thread(target=drop) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
            server.note()
        return f"{len(bomb)} bytes each, statuses {sorted(set(seen))}", set(seen) <= {413, 503}

    @case(server, "10,000 headers")
    def _(server):
        with server.connect() as client:
            seen = status(client, request("GET", "/", headers=["X: y"] * 10000))
            return f"status {seen}", seen == 431

    @case(server, "a header of 10 MiB")
    def _(server):
        with server.connect() as client:
            seen = status(client, request("GET", "/", headers=["X: " + "y" * (10 << 20)]))
            return f"status {seen}", seen in (431, 0)

    @case(server, "10,000 requests in a row, unread")
    def _(server):
        with server.connect() as client:
            said = request("GET", "/health/live") * 10000
            sender = threading.Thread(target=lambda: client.sendall(said))
            sender.start()
            answers, count = b"", 0
            while count < 10000:
                answers += client.recv(1 << 20)
                count += answers.count(b"HTTP/1.1 200 OK")
                answers = answers[-14:] if b"HTTP/1.1 200 OK" not in answers[-14:] else b""
            sender.join()
            return f"{count} answers", count == 10000

    bad = [
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n", 400),
    ]

    @case(server, "bad chunks")
    def _(server):
        return rows(server, bad)

    smuggling = [
        (b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nG", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\nContent-Length: 5\r\n\r\n123456", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 6\r\n\r\n123456", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n12345", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 501),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST %s HTTP/1.1\r\nHost: h\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST %s HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST %s HTTP/1.1\nHost: h\nContent-Length: 1\n\n1", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    ]

    @case(server, "requests that mean two things")
    def _(server):
        return rows(server, smuggling)

    odd = [
        (b"GET /\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
        (b"GET /api/v1/disruptor/%%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /api/v1/disruptor/a%%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /api/v1/disruptor/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (b"GET /api/v1/disruptor/..%%2f..%%2fetc HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
        (request("PUT", "/api/v1/disruptor/..", b"{}").replace(b"%", b"%%"), 400),
        (request("POST", "/api/v1/disruptor", b'{"name": "../x"}'), 400),
        (request("POST", "/api/v1/disruptor", b'{"name": "x", "sinks": [{"kind": "file", "path": "../x"}]}'), 400),
        (request("POST", "/api/v1/disruptor", b'{"name": "a\\u0000b"}'), 400),
        (request("POST", "%s", b"\xff\xfe"), 400),
        (request("POST", "%s", b"[" * 100000), 400),
        (request("POST", "%s", b"[" * 50000, ["Content-Type: application/yaml"]), 400),
        (request("POST", "%s", b"\x91" * 50000, ["Content-Type: application/msgpack"]), 400),
    ]

    @case(server, "NUL, invalid UTF-8, ../, deep nesting")
    def _(server):
        return rows(server, odd)

    @case(server, "60 streams that are never read")
    def _(server):
        hold = [server.connect() for _ in range(60)]
        for client in hold:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(request("GET", f"{EVENTS}/stream"))
        with server.connect() as client:
            body = (b'"' + b"x" * 1000 + b'"\n') * 20000
            seen = status(client, request("POST", f"{EVENTS}/bulk", body, ["Content-Type: application/x-ndjson"]))
        text, is_well = during(server, hold)
        return f"20,000 events: {seen}; {text}"[:52], is_well and seen == 200

    @case(server, "10,000 connections")
    def _(server):
        hold = []
        try:
            for _ in range(10000):
                hold.append(server.connect())
        except OSError as error:
            if len(hold) < 5000:
                raise error
        count = len(hold)
        text, is_well = during(server, hold)
        return f"{count}; {text}"[:52], is_well

    time.sleep(2)
    after = server.usage()
    code = server.stop()
    few = Server(program, files=64)

    @case(few, "files: 64 (ulimit -n), 300 connections")
    def _(server):
        hold = [server.connect() for _ in range(300)]
        return during(server, hold)

    few_code = few.stop()
    print(f"memory and threads: before {before[0]:.1f} MiB, {before[1]}; at peak {server.peak[0]:.1f} MiB, {server.peak[1]}; "
          f"after {after[0]:.1f} MiB, {after[1]}; exit statuses {code}, {few_code}")
    if code or few_code or failures:
        sys.exit(f"not well: {', '.join(failures) or 'the end'}")
    print("all well")


def rows(server, cases):
    """Says each on a connection of its own, and compares the statuses."""
    wrong = []
    for said, expected in cases:
        with server.connect() as client:
            seen = status(client, said.replace(b"%s", EVENTS.encode()).replace(b"%%", b"%"))
            if seen != expected and expected is not None or seen >= 500 and expected is None:
                wrong.append(f"{said[:60]!r}: {seen}")
    return (f"{len(cases)} refused" if not wrong else "; ".join(wrong)), not wrong


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.access(sys.argv[1], os.X_OK):
        sys.exit("usage: hostile.py PROGRAM")
    main(os.path.abspath(sys.argv[1]))
