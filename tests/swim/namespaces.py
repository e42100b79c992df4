#!/usr/bin/env python3
"""Ten members in network namespaces: joined, with 20 % of all packets lost, killed, stopped, parted, and with a key.

    cargo build --release --features cluster --example member
    python3 tests/swim/namespaces.py target/release/examples/member [--minutes 10]

One line per case: the verdict, and what was seen. The exit status is 0 if every case is well, and 77 if this cannot run
here, for want of root, ip, nft or tcpdump; then it says so. Loss lasts one minute unless told otherwise.
"""

import argparse
import os
import signal
import sys
import tempfile
import time

import lab
from lab import Lab, Member, agree, until

COUNT = 10
failures = []


def case(name, is_well, seen):
    print(f"{'well  ' if is_well else 'FAILED'}  {name}: {seen}", flush=True)
    if not is_well:
        failures.append(name)


def start(net, more=()):
    first = Member(net, 0, more=more)
    until("the first listens", 10, lambda: first.lines)
    return [first] + [Member(net, number, seed=0, more=more) for number in range(1, COUNT)]


def end(nodes):
    for node in nodes:
        node.kill()


def deaths(nodes, since=0):
    return [(round(at - since, 1), node.name, of) for node in nodes for at, _, of in node.told("died", since=since)]


def losing(net, nodes, seconds):
    net.lose(20)
    since, sent = time.time(), net.sent()
    time.sleep(seconds)
    rate = (net.sent() - sent) / (time.time() - since) / COUNT
    found, suspected = deaths(nodes, since), sum(len(node.told("suspected", since=since)) for node in nodes)
    case(f"20 % loss for {seconds} s calls nobody dead", not found,
         f"deaths {found}, suspicions told {suspected}, {rate:.0f} bytes/s per node on the wire")
    net.lose(0)
    until("all agree", 60, lambda: agree(nodes))


def killing(nodes):
    times = []
    for number in (3, 4, 5, 6):
        victim, others = nodes[number], [node for node in nodes if node.number != number]
        since = time.time()
        victim.kill()
        until("dead everywhere", 30, lambda: all(node.told("died", victim.name, since) for node in others))
        times.append(max(node.told("died", victim.name, since)[0][0] for node in others) - since)
        victim.begin(0)
        until("all agree", 60, lambda: agree(nodes))
        time.sleep(2)
    case("one that is killed is dead everywhere within 6 s", max(times) < 6,
         "after " + ", ".join(f"{took:.1f} s" for took in times))


def stopping(nodes):
    victim, others = nodes[7], [node for node in nodes if node.number != 7]
    since = time.time()
    victim.signal(signal.SIGSTOP)
    took = until("suspected", 30, lambda: any(node.told("suspected", victim.name, since) for node in others))
    victim.signal(signal.SIGCONT)
    suspects = lambda: [node for node in others if node.told("suspected", victim.name, since)]
    until("refuted", 30, lambda: all(node.told("refuted", victim.name, since) for node in suspects()))
    time.sleep(10)
    case("one that stands still and goes on is suspected, refutes, and is not dead", not deaths(nodes, since),
         f"suspected after {took:.1f} s, by {len(suspects())} in the end; deaths {deaths(nodes, since)}")


def parting(net, nodes):
    sides = [range(0, 5), range(5, 10)]
    since = time.time()
    net.part(sides)
    halves = [[nodes[number] for number in side] for side in sides]
    took = until("both sides alone", 60, lambda: all(agree(half) for half in halves))
    gone = time.time()
    net.lose(0)
    healed = until("all agree", 180, lambda: agree(nodes))
    case("two halves call each other dead, and come together again", True,
         f"apart after {took:.1f} s, together {healed:.1f} s after the wall had gone")
    # News of a death that the other side still tells when the wall goes may cross it, and is refuted.
    inside = [(node.name, of) for half in halves for node in half for at, _, of in node.told("died", since=since)
              if at < gone and of in {other.name for other in half}]
    case("nobody is called dead on its own side while they are apart", not inside, f"{inside}")


def listening(net):
    with tempfile.TemporaryDirectory() as folder:
        for title, more, is_secret in [
            ("without a key names can be read", [], False),
            ("with a key nothing can be read", ["--key", "5a" * 32], True),
        ]:
            path = os.path.join(folder, "captured")
            capture = net.capture(path)
            until("it captures", 10, lambda: os.path.exists(path))
            nodes = start(net, more)
            until("all agree", 30, lambda: agree(nodes))
            time.sleep(3)
            end(nodes)
            capture.terminate()
            capture.wait()
            with open(path, "rb") as file:
                captured = file.read()
            found = [text for text in (b"member-", b"Alive", b"badbatch", b"\x5a" * 8) if text in captured]
            packets = f"{len(captured)} bytes captured, found {found}"
            case(title, bool(found) != is_secret, packets)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=1)
    arguments = parser.parse_args()
    lab.skip_if_missing(["ip", "nft", "tcpdump"])
    Member.program = arguments.program
    net = Lab(COUNT)
    try:
        listening(net)
        began = time.time()
        nodes = start(net)
        until("all agree", 30, lambda: agree(nodes))
        last = max(at for node in nodes for at, _, _ in node.told("joined"))
        case("ten that join by one know each other in 2 s", last - began < 2, f"{last - began:.2f} s after the first start")
        killing(nodes)
        stopping(nodes)
        parting(net, nodes)
        losing(net, nodes, int(60 * arguments.minutes))
        end(nodes)
    finally:
        net.close()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
