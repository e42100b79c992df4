"""Nodes in network namespaces around one that forwards, with links that lose, and programs whose lines are stamped with times.

Everything lives in namespaces of its own, and goes with them: nothing of the machine's network is touched.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

SKIPPED = 77


def missing(programs):
    """Why this cannot run here, or nothing."""
    if os.geteuid() != 0:
        return "namespaces need root"
    gone = [program for program in programs if shutil.which(program) is None]
    if gone:
        return f"there is no {', no '.join(gone)}; Debian has iproute2, nftables, tcpdump, serf"
    test = subprocess.run(["ip", "netns", "add", f"bb-try-{os.getpid()}"], capture_output=True, text=True)
    if test.returncode != 0:
        return f"no namespace can be made: {test.stderr.strip()}"
    run("ip", "netns", "del", f"bb-try-{os.getpid()}")
    return None


def skip_if_missing(programs):
    why = missing(programs)
    if why:
        print(f"skipped: {why}")
        sys.exit(SKIPPED)


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


class Lab:
    """So many namespaces, each with an address, and one between them that forwards.

    Each node has one neighbour only: a bridge would fill the kernel's table of neighbours, which all namespaces share.
    """

    GATE = "169.254.1.1"

    def __init__(self, count):
        self.prefix = f"bb-{os.getpid()}"
        self.hub = f"{self.prefix}-hub"
        self.nodes = []
        self.spaces = [f"{self.prefix}-{number}" for number in range(count)]
        run("ip", "netns", "add", self.hub)
        run("ip", "netns", "exec", self.hub, "sysctl", "-q", "net.ipv4.ip_forward=1")
        for number, space in enumerate(self.spaces):
            port = f"port{number}"
            run("ip", "netns", "add", space)
            run("ip", "-n", space, "link", "set", "lo", "up")
            run("ip", "-n", self.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "-n", self.hub, "address", "add", f"{self.GATE}/32", "dev", port)
            run("ip", "-n", self.hub, "link", "set", port, "up")
            run("ip", "-n", self.hub, "route", "add", f"{self.ip(number)}/32", "dev", port)
            run("ip", "-n", space, "address", "add", f"{self.ip(number)}/32", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "route", "add", self.GATE, "dev", "eth0")
            run("ip", "-n", space, "route", "add", "default", "via", self.GATE)

    @staticmethod
    def ip(number):
        return f"10.77.{number // 200}.{number % 200 + 1}"

    def filter(self, number, *rules):
        """Replaces what becomes of packets that come to a node; without rules all get through."""
        chain = ["type filter hook input priority 0;", *(f"iifname eth0 {rule}" for rule in rules)]
        table = ["add table inet lab", "delete table inet lab", "table inet lab {", "chain input {", *chain, "}", "}", ""]
        run("ip", "netns", "exec", self.spaces[number], "nft", "-f", "-", text="\n".join(table))

    def lose(self, percent):
        """Has each node lose so much of what comes to it."""
        for number in range(len(self.spaces)):
            self.filter(number, *([f"numgen random mod 100 < {percent} drop"] if percent else []))

    def part(self, sides):
        """Nodes hear those of their own side only."""
        for side in sides:
            others = ", ".join(self.ip(other) for other in range(len(self.spaces)) if other not in side)
            for number in side:
                self.filter(number, f"ip saddr {{ {others} }} drop")

    def sent(self):
        """Bytes that all nodes have sent since the beginning, with all headers."""
        total = 0
        for space in self.spaces:
            told = json.loads(run("ip", "-n", space, "-j", "-s", "link", "show", "eth0"))
            total += told[0]["stats64"]["tx"]["bytes"]
        return total

    def capture(self, path):
        """Everything that goes between nodes, until the process is ended."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.hub, "tcpdump", "-i", "any", "-U", "-w", path],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        for node in self.nodes:
            node.process.kill()
            node.process.wait()
        for space in [*self.spaces, self.hub]:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


class Node:
    """A program in a namespace. What it tells becomes events: a time, what, and of whom."""

    # What lines look like, and what they tell.
    patterns = []

    def __init__(self, lab, number, seed=None, more=()):
        self.lab, self.number, self.name = lab, number, f"member-{number}"
        self.events, self.lines = [], []
        lab.nodes.append(self)
        self.begin(seed, more)

    def begin(self, seed, more=()):
        command = self.command(seed, list(more))
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.spaces[self.number], *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.reader = threading.Thread(target=self.read, args=[self.process.stdout], daemon=True)
        self.reader.start()

    def read(self, output):
        for line in output:
            now = time.time()
            self.lines.append(line.rstrip())
            for pattern, what in self.patterns:
                found = re.search(pattern, line)
                if found:
                    self.events.append((now, what, found.group(1)))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()

    def told(self, what, of=None, since=0):
        return [event for event in list(self.events)
                if event[1] == what and event[0] >= since and (of is None or event[2] == of)]


class Member(Node):
    """The example `member`."""

    title = "badbatch"
    program = None
    patterns = [(rf"^\S+ {what} (member-\d+) ", what) for what in ["joined", "suspected", "refuted", "died", "left"]]

    def command(self, seed, more):
        seeds = ["--seed", f"{self.lab.ip(seed)}:7946"] if seed is not None else []
        bind = f"{self.lab.ip(self.number)}:7946"
        return [Member.program, "--name", self.name, "--bind", bind, *seeds, *more]


class Serf(Node):
    """serf's agent with its settings for local networks, which are its defaults."""

    title = "serf"
    patterns = [
        (r"EventMemberJoin: (member-\d+) ", "joined"),
        (r"EventMemberFailed: (member-\d+) ", "died"),
        (r"EventMemberLeave: (member-\d+) ", "left"),
        (r"memberlist: Suspect (member-\d+) has failed", "suspected"),
    ]

    def command(self, seed, more):
        seeds = [f"-retry-join={self.lab.ip(seed)}:7946", "-retry-interval=1s"] if seed is not None else []
        return ["serf", "agent", f"-node={self.name}", f"-bind={self.lab.ip(self.number)}:7946", *seeds, *more]


def until(what, seconds, is_so):
    """Waits until it is so, and tells how long that took."""
    began = time.time()
    while not is_so():
        if time.time() - began > seconds:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
    return time.time() - began


def present(node):
    """Whom a node takes for alive, itself excepted."""
    known = {}
    for _, what, of in list(node.events):
        if of != node.name and what in ("joined", "died", "left"):
            known[of] = what == "joined"
    return {of for of, is_there in known.items() if is_there}


def agree(nodes):
    names = {node.name for node in nodes}
    return all(present(node) == names - {node.name} for node in nodes)


def stop(nodes):
    for node in nodes:
        node.signal(signal.SIGSTOP)


def go_on(nodes):
    for node in nodes:
        node.signal(signal.SIGCONT)
