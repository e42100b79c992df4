"""What schemathesis cannot know from the document: how MessagePack is written, and what a schema cannot say."""

import re
import uuid

import msgpack
import schemathesis


def packable(value):
    """JSON has larger numbers than MessagePack, which has them as floating-point numbers."""
    if isinstance(value, dict):
        return {packable(name): packable(member) for name, member in value.items()}
    if isinstance(value, list):
        return [packable(item) for item in value]
    is_large = isinstance(value, int) and not -(2**63) <= value < 2**64
    return float(min(max(value, -(10**300)), 10**300)) if is_large else value


@schemathesis.serializer("application/msgpack")
def to_msgpack(_context, value):
    return msgpack.packb(packable(value))


@schemathesis.deserializer("application/msgpack")
def from_msgpack(_context, response):
    return msgpack.unpackb(response.content)


def is_contradictory(body):
    """Sinks that contradict each other: a name comes once, and `after` names one further up."""
    if not isinstance(body, dict) or not isinstance(body.get("sinks"), list):
        return False
    names = []
    for sink in body["sinks"]:
        if not isinstance(sink, dict):
            return False
        name, after = sink.get("name") or sink.get("kind"), sink.get("after") or []
        if sink.get("name") in names or not isinstance(after, list) or any(other not in names for other in after):
            return True
        # A file stays in its folder, and nothing is forwarded in a circle.
        if sink.get("kind") in ("file", "forward"):
            return True
        names.append(name)
    return False


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Keeps the run short, and each request a request of its own."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, str) and re.fullmatch(r"[0-9]+(s|ms)?", wait):
        case.query["wait"] = "1ms"
    key = (case.headers or {}).get("Idempotency-Key")
    if key is not None and re.fullmatch(r"[!-~]{1,256}", key):
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    # With it, wrong events are told of in a good answer.
    (case.query or {}).pop("partial", None)
    body = case.body if isinstance(case.body, dict) else {}
    if isinstance(body.get("server"), dict) and isinstance(body["server"].get("requests_per_second"), (int, float, str)):
        body["server"]["requests_per_second"] = 0
    if is_contradictory(body):
        body["sinks"] = []
