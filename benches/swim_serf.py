#!/usr/bin/env python3
"""Membership beside serf, as processes in network namespaces on one machine: prints a table in Markdown.

    apt-get install serf nftables iproute2
    cargo build --release --features cluster --example member
    python3 benches/swim_serf.py target/release/examples/member [--nodes 20] [--seconds 120]

Both have their own defaults, which are the same times: a probe each second, half a second for its answer, gossip five
times a second. Lines of both are stamped when they are read here. Bytes are those of the network interfaces, with all
headers. Exits with 77 and says why if it cannot run here.
"""

import argparse
import os
import signal
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests", "swim"))
import lab
from lab import Lab, Member, Serf, agree, go_on, stop, until

PATIENCE = 120


def start(net, kind, count):
    first = kind(net, 0)
    until("the first one listens", 10, lambda: first.lines)
    time.sleep(1)
    began = time.time()
    nodes = [first] + [kind(net, number, seed=0) for number in range(1, count)]
    until("all agree", PATIENCE, lambda: agree(nodes))
    last = max(at for node in nodes for at, _, _ in node.told("joined"))
    return nodes, last - began


def rate(net, nodes, seconds):
    sent, since = net.sent(), time.time()
    time.sleep(seconds)
    return (net.sent() - sent) / (time.time() - since) / len(nodes)


def detection(nodes, victims, end, back):
    """When all have noticed that one has ended, and when each has."""
    everywhere, each = [], []
    for number in victims:
        victim, others = nodes[number], [node for node in nodes if node.number != number]
        since = time.time()
        end(victim)
        until("dead everywhere", PATIENCE, lambda: all(node.told("died", victim.name, since) for node in others))
        times = [node.told("died", victim.name, since)[0][0] - since for node in others]
        each.extend(times)
        everywhere.append(max(times))
        back(victim)
        until("all agree", PATIENCE, lambda: agree(nodes))
        time.sleep(3)
    return f"{statistics.median(each):.1f} s, {statistics.median(everywhere):.1f} s, {max(everywhere):.1f} s"


def false_deaths(nodes, since):
    return sum(len(node.told("died", since=since)) for node in nodes)


def losing(net, nodes, percent, seconds):
    net.lose(percent)
    since = time.time()
    sent = rate(net, nodes, seconds)
    deaths = false_deaths(nodes, since)
    suspicions = sum(len(node.told("suspected", since=since)) for node in nodes)
    net.lose(0)
    until("all agree", PATIENCE, lambda: agree(nodes))
    return deaths, suspicions, sent


def standing_still(nodes, times, still, between):
    third = nodes[1 : 1 + len(nodes) // 3]
    names = {node.name for node in third}
    since = time.time()
    for _ in range(times):
        stop(third)
        time.sleep(still)
        go_on(third)
        time.sleep(between)
    time.sleep(10)
    deaths = [of for node in nodes for _, _, of in node.told("died", since=since)]
    until("all agree", PATIENCE, lambda: agree(nodes))
    return sum(of in names for of in deaths), sum(of not in names for of in deaths)


def measure(kind, count, seconds, trials):
    rows, joins = {}, []
    for _ in range(trials):
        net = Lab(51)
        try:
            joins.append(start(net, kind, 51)[1])
        finally:
            net.close()
    rows[f"50 join by one, {trials} times: p50, max of until all know all"] = (
        f"{statistics.median(joins):.1f} s, {max(joins):.1f} s")
    net = Lab(count)
    try:
        nodes, _ = start(net, kind, count)
        time.sleep(20)
        rows["bytes/s per node, quiet"] = f"{rate(net, nodes, seconds):.0f}"
        victims = [1 + trial % (count - 1) for trial in range(trials)]
        rows["SIGKILL noticed: p50 of each, p50 and max of everywhere"] = detection(
            nodes, victims, lambda node: node.kill(), lambda node: node.begin(0))
        rows["SIGSTOP noticed: the same"] = detection(
            nodes, victims, lambda node: node.signal(signal.SIGSTOP), lambda node: node.signal(signal.SIGCONT))
        for percent in (10, 20, 30):
            deaths, suspicions, sent = losing(net, nodes, percent, seconds)
            rows[f"{percent} % loss for {seconds} s: false deaths"] = str(deaths)
            rows[f"{percent} % loss: suspicions told (badbatch: by all that hear of one, serf: by who finds it)"] = str(suspicions)
            rows[f"{percent} % loss: bytes/s per node"] = f"{sent:.0f}"
        for times, still, between in ((1, 3, 0), (10, 4, 1)):
            of_those, of_others = standing_still(nodes, times, still, between)
            rows[f"a third stopped for {still} s, {times} times: false deaths of those, of others"] = (
                f"{of_those}, {of_others}")
    finally:
        net.close()
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--nodes", type=int, default=20)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--trials", type=int, default=10)
    arguments = parser.parse_args()
    lab.skip_if_missing(["ip", "nft", "serf"])
    Member.program = arguments.program
    columns = [measure(kind, arguments.nodes, arguments.seconds, arguments.trials) for kind in (Member, Serf)]
    print(f"| {arguments.nodes} processes | {Member.title} | {Serf.title} |")
    print("|---|---|---|")
    for row in columns[0]:
        print(f"| {row} | {columns[0][row]} | {columns[1][row]} |")


if __name__ == "__main__":
    main()
