#!/usr/bin/env python3
"""Measures publishing to three servers while a follower is killed, while keys rotate, and while all three restart.

    cargo build --release --features full && tests/server/replication.py target/release/badbatch

Starts three encrypted servers on this machine, publishes 100,000 events at each level in batches, kills one follower after
a third of them and starts it again after two thirds, and compares what all three have in the end. Prints the rate, and
how long requests took. Then it changes the key of all three, and restarts them one after the other, while events are
published at `all` to whoever is their home. Prints how long nothing was acknowledged at most, and how few members there were.
"""

import base64
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "target/release/badbatch"
EVENTS = 100_000
KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Server:
    def __init__(self, name, folder):
        self.name, self.folder = name, os.path.join(folder, name)
        os.makedirs(self.folder)
        self.process = None

    def start(self, seeds):
        config = os.path.join(self.folder, "server.json")
        cluster = {
            "enabled": True, "node_id": self.name, "bind_addr": "127.0.0.1:0", "seed_nodes": seeds,
            "enable_encryption": True, "encryption_key": KEY,
        }
        with open(config, "w") as file:
            json.dump({"cluster": cluster, "logging": {"level": "warn"}}, file)
        arguments = ["server", "--bind", "127.0.0.1:0", "--config", config, "--data-dir", self.folder + "/data"]
        self.process = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)
        while True:
            line = self.process.stdout.readline()
            assert line, f"{self.name} ended"
            if "API      http://" in line:
                self.address = line.split("API      http://")[1].split("/")[0].strip()
            if "Ctrl-C" in line:
                return

    def connection(self):
        return http.client.HTTPConnection(self.address, timeout=60)

    def ask(self, method, path, body=None):
        connection = self.connection()
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def seed(self):
        return self.ask("GET", "/api/v1/cluster")[1]["address"]

    def events(self, name):
        first, events = self.ask("GET", f"/api/v1/disruptor/{name}")[1]["first_available"], []
        while True:
            path = f"/api/v1/disruptor/{name}/events?limit=1000&from_sequence={first}"
            items = self.ask("GET", path)[1]["items"]
            if not items:
                return events
            events += [item["data"] for item in items]
            first = items[-1]["sequence"] + 1


def until(is_so, what):
    deadline = time.time() + 60
    while not is_so():
        assert time.time() < deadline, f"never {what}"
        time.sleep(0.05)


def measure(servers, level, batch, clients, events):
    home, victim = servers[0], servers[2]
    name = f"{level}-{batch}"
    definition = {
        "name": name, "replicas": 3, "consistency": level, "buffer_size": 1 << 17, "producer_type": "multi",
        "replication_timeout_ms": 30000,
    }
    assert home.ask("POST", "/api/v1/disruptor", json.dumps(definition))[0] == 201
    lock, times, acknowledged, errors = threading.Lock(), [], {}, []
    taken = iter(range(0, events, batch))

    def publish():
        connection = home.connection()
        while True:
            with lock:
                first = next(taken, None)
            if first is None:
                return
            body = json.dumps(list(range(first, first + batch)))
            headers = {"Content-Type": "application/json"}
            while True:
                began = time.perf_counter()
                connection.request("POST", f"/api/v1/disruptor/{name}/events/batch", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                took = time.perf_counter() - began
                if answer.status == 201:
                    break
                with lock:
                    errors.append(told["code"])
                # While a node is missing, `all` is refused before anything is published.
                assert told["code"] == "not_enough_replicas", told
                time.sleep(0.02)
            with lock:
                times.append(took)
                for event in told["events"]:
                    acknowledged[event["sequence"]] = first + event["sequence"] - told["events"][0]["sequence"]

    began = time.perf_counter()
    threads = [threading.Thread(target=publish) for _ in range(clients)]
    for thread in threads:
        thread.start()
    until(lambda: len(times) * batch >= events / 3, "a third")
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    if level != "all":
        until(lambda: len(times) * batch >= events * 2 / 3, "two thirds")
    victim.start([servers[0].seed(), servers[1].seed()])
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    path = f"/api/v1/disruptor/{name}/replication"
    until(lambda: home.ask("GET", path)[1]["reached"] == 3, "whole")
    expected = [acknowledged[sequence] for sequence in sorted(acknowledged)]
    assert len(expected) == events
    for server in servers:
        assert server.events(name) == expected, f"{server.name} differs"
    times.sort()
    at = lambda share: 1000 * times[min(int(len(times) * share), len(times) - 1)]
    print(
        f"{level:7} {batch:6} {clients:8} {events / took:12.0f} {at(0.5):9.2f} {at(0.99):9.2f} {at(1):9.2f} "
        f"{len(errors):8}"
    )


def roll(servers):
    """Single events at `all`, to whichever node takes them, while keys rotate and every node restarts."""
    name = "rolled"
    definition = {"name": name, "replicas": 3, "consistency": "all", "buffer_size": 1 << 17, "producer_type": "multi"}
    assert servers[0].ask("POST", "/api/v1/disruptor", json.dumps(definition))[0] == 201
    acknowledged, problems, is_over, fewest = [], {}, threading.Event(), [9]
    phase, pauses = ["begin"], {}

    def publish():
        number, last = 0, time.perf_counter()
        while not is_over.is_set():
            for server in servers:
                number += 1
                try:
                    status, told = server.ask("POST", f"/api/v1/disruptor/{name}/events?wait=250ms", str(number))
                except (OSError, http.client.HTTPException):
                    continue
                if status == 201:
                    now = time.perf_counter()
                    pauses[phase[0]] = max(pauses.get(phase[0], 0), now - last)
                    last = now
                    acknowledged.append((number, told["sequence"]))
                else:
                    problems[told["code"]] = problems.get(told["code"], 0) + 1

    def watch():
        while not is_over.is_set():
            for server in servers:
                try:
                    fewest[0] = min(fewest[0], server.ask("GET", "/api/v1/cluster")[1]["members"]["alive"])
                except (OSError, http.client.HTTPException, TypeError):
                    pass
            time.sleep(0.05)

    threads = [threading.Thread(target=publish), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()

    def goes_on():
        count = len(acknowledged)
        until(lambda: len(acknowledged) > count + 200, "acknowledged")

    def is_whole():
        for server in servers:
            status, told = server.ask("GET", f"/api/v1/disruptor/{name}/replication")
            if status == 200 and told["part"] == "home":
                return told["reached"] == 3 and len(told["nodes"]) == 3
        return False

    goes_on()
    phase[0] = "keys"
    key = json.dumps({"key": base64.b64encode(os.urandom(32)).decode()})
    old = servers[0].ask("GET", "/api/v1/cluster/keys")[1]["items"][0]["id"]
    ids = [server.ask("POST", "/api/v1/cluster/keys", key)[1]["id"] for server in servers]
    for server in servers:
        assert server.ask("POST", f"/api/v1/cluster/keys/{ids[0]}/use")[0] == 200
    for server in servers:
        assert server.ask("DELETE", f"/api/v1/cluster/keys/{old}")[0] == 204
    goes_on()
    for place, server in enumerate(servers):
        phase[0] = f"restart of {server.name}"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait() == 0
        server.start([other.seed() for other in servers if other is not server])
        until(is_whole, "whole")
        goes_on()
    is_over.set()
    for thread in threads:
        thread.join()
    until(lambda: len({len(server.events(name)) for server in servers}) == 1, "the same length")
    logs = [server.events(name) for server in servers]
    assert logs[0] == logs[1] == logs[2] and logs[0] == sorted(logs[0])
    there = set(logs[0])
    lost = [number for number, _ in acknowledged if number not in there]
    assert not lost, lost
    print(f"all, one client, single events: {len(acknowledged)} acknowledged, {len(lost)} lost, {len(logs[0])} on each node")
    print(f"never fewer than {fewest[0]} members alive; refusals {problems}")
    for name, pause in pauses.items():
        print(f"  longest time without an acknowledgement, {name}: {pause:.2f} s")


def main():
    with tempfile.TemporaryDirectory() as folder:
        servers = [Server(name, folder) for name in "abc"]
        try:
            for place, server in enumerate(servers):
                server.start([other.seed() for other in servers[:place]])
            until(lambda: servers[0].ask("GET", "/api/v1/cluster")[1]["members"]["alive"] == 3, "joined")
            print("level    batch  clients   events/s    p50 ms    p99 ms    max ms  refused")
            for level in ["any", "one", "quorum", "all"]:
                measure(servers, level, 1000, 1, EVENTS)
            for batch in [100, 10, 1]:
                measure(servers, "quorum", batch, 4, min(EVENTS, 10_000 * batch))
            roll(servers)
        finally:
            for server in servers:
                if server.process:
                    server.process.kill()


main()
