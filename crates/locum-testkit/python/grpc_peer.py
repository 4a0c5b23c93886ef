"""A peer of gRPC: `server` says where it listens and serves until it is killed; `client ADDRESS CHECK...` makes
these checks of a server, or of what stands before it, and says PASS or FAIL of each; `load ADDRESS` calls until its
standard input ends and says how many calls were answered, how many failed, and why.

Messages are bytes as they are, so that no protocol compiler is needed.
"""

import sys
import threading
import time
from concurrent import futures

import grpc

OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # What is tested is the proxy, not the retries of this library.
    ("grpc.enable_retries", 0),
]


class Service:
    """Every method of the service `test.Peer`."""

    def __init__(self):
        self.lock = threading.Lock()
        self.failures = {}
        self.well = True

    def echo(self, request, context):
        seen = {key: value for key, value in context.invocation_metadata()}
        context.send_initial_metadata([("x-first", seen.get("x-asked", "none"))])
        context.set_trailing_metadata([("x-last", "1"), ("x-last-bin", bytes(range(256)))])
        return request

    def fail(self, request, context):
        code, _, text = request.decode().partition(" ")
        context.abort({c.value[0]: c for c in grpc.StatusCode}[int(code)], text)

    def fail_first(self, request, context):
        with self.lock:
            count = self.failures[request] = self.failures.get(request, 0) + 1
        if count < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return str(count).encode()

    def sleep(self, request, context):
        ends = time.monotonic() + int(request) / 1000
        while time.monotonic() < ends and context.is_active():
            time.sleep(0.005)
        return b"slept"

    def left(self, request, context):
        left = context.time_remaining()
        return b"none" if left is None or left > 1e6 else str(int(left * 1000)).encode()

    def count(self, request, context):
        for number in range(int(request)):
            yield str(number).encode()

    def sum(self, requests, context):
        return str(sum(int(request) for request in requests)).encode()

    def chat(self, requests, context):
        for request in requests:
            yield request

    def half(self, request, context):
        yield b"one"
        context.abort(grpc.StatusCode.DATA_LOSS, "the rest is gone")


    def be(self, request, context):
        self.well = request == b"well"
        return b""

    def check_health(self, request, context):
        """Of the server as a whole, and of the service; no other is known (grpc.health.v1)."""
        if request not in (b"", b"\x0a\x09test.Peer"):
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return b"\x08\x01" if self.well else b"\x08\x02"


def serve():
    service = Service()
    health = grpc.method_handlers_generic_handler(
        "grpc.health.v1.Health",
        {"Check": grpc.unary_unary_rpc_method_handler(service.check_health)},
    )
    of = grpc.method_handlers_generic_handler(
        "test.Peer",
        {
            "Echo": grpc.unary_unary_rpc_method_handler(service.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(service.fail),
            "FailFirst": grpc.unary_unary_rpc_method_handler(service.fail_first),
            "Sleep": grpc.unary_unary_rpc_method_handler(service.sleep),
            "Left": grpc.unary_unary_rpc_method_handler(service.left),
            "Count": grpc.unary_stream_rpc_method_handler(service.count),
            "Sum": grpc.stream_unary_rpc_method_handler(service.sum),
            "Chat": grpc.stream_stream_rpc_method_handler(service.chat),
            "Half": grpc.unary_stream_rpc_method_handler(service.half),
            "Be": grpc.unary_unary_rpc_method_handler(service.be),
        },
    )
    server = grpc.server(futures.ThreadPoolExecutor(64), handlers=(of, health), options=OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


class Client:
    """Each check is a method: it raises, or all is well."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=OPTIONS)

    def unary(self, method, request, **options):
        call = self.channel.unary_unary(f"/test.Peer/{method}")
        return call(request, timeout=options.pop("timeout", 20), **options)

    def fails(self, method, request, code, **options):
        try:
            self.unary(method, request, **options)
        except grpc.RpcError as error:
            assert error.code() == code, f"{error.code()}: {error.details()}"
            return error
        raise AssertionError(f"{method} did not fail")

    def check_unary(self):
        call = self.channel.unary_unary("/test.Peer/Echo")
        for number in range(20):
            metadata = [("x-asked", str(number)), ("x-bin", b"\0\xff")]
            answer, call_ = call.with_call(b"hello", timeout=20, metadata=metadata)
            assert answer == b"hello"
            assert dict(call_.initial_metadata())["x-first"] == str(number)
            trailing = dict(call_.trailing_metadata())
            assert trailing["x-last"] == "1" and trailing["x-last-bin"] == bytes(range(256))

    def check_empty(self):
        assert self.unary("Echo", b"") == b""

    def check_large(self):
        large = bytes(range(256)) * 16384
        assert self.unary("Echo", large) == large

    def check_many_at_once(self):
        call = self.channel.unary_unary("/test.Peer/Echo")
        calls = [call.future(str(n).encode(), timeout=20) for n in range(300)]
        assert [call.result() for call in calls] == [str(n).encode() for n in range(300)]

    def check_server_stream(self):
        answers = self.channel.unary_stream("/test.Peer/Count")(b"2000", timeout=20)
        assert [int(answer) for answer in answers] == list(range(2000))

    def check_client_stream(self):
        numbers = (str(n).encode() for n in range(2000))
        assert self.channel.stream_unary("/test.Peer/Sum")(numbers, timeout=20) == b"1999000"

    def check_both_streams(self):
        # Each is sent when the one before has come back, so that nothing may be held back.
        more, done = threading.Semaphore(1), threading.Event()

        def requests():
            for number in range(100):
                more.acquire()
                yield str(number).encode()
            done.wait()

        answers = self.channel.stream_stream("/test.Peer/Chat")(requests(), timeout=20)
        for number in range(100):
            assert next(answers) == str(number).encode()
            more.release()
        done.set()
        assert list(answers) == []

    def check_errors(self):
        for code in grpc.StatusCode:
            if code != grpc.StatusCode.OK:
                text = f"50 % of h\u00e9 {code.name}"
                error = self.fails("Fail", f"{code.value[0]} {text}".encode(), code)
                assert error.details() == text, error.details()
        self.fails("Nothing", b"", grpc.StatusCode.UNIMPLEMENTED)

    def check_broken_stream(self):
        answers = self.channel.unary_stream("/test.Peer/Half")(b"", timeout=20)
        assert next(answers) == b"one"
        try:
            next(answers)
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DATA_LOSS, error
            return
        raise AssertionError("it did not break")

    def check_deadline(self):
        self.fails("Sleep", b"20000", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.3)

    def check_cancel(self):
        call = self.channel.unary_unary("/test.Peer/Sleep").future(b"20000", timeout=20)
        time.sleep(0.2)
        call.cancel()
        assert call.code() == grpc.StatusCode.CANCELLED

    def check_time_left(self):
        left = int(self.unary("Left", b"", timeout=5))
        assert 3000 < left <= 5000, left

    def check_time_of_policy(self):
        left = int(self.unary("Left", b"", timeout=20))
        assert 1000 < left <= 2000, left

    def check_timed_out(self):
        # Told by the proxy or by the server, which was given the same time: whoever is first.
        self.fails("Sleep", b"20000", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=20)

    def check_limited(self):
        assert self.unary("Echo", b"one") == b"one"
        error = self.fails("Echo", b"two", grpc.StatusCode.RESOURCE_EXHAUSTED)
        assert 'rate_limit "careful"' in error.details(), error.details()
        trailing = dict(error.trailing_metadata())
        assert int(trailing["grpc-retry-pushback-ms"]) > 1000, trailing
        details = trailing["grpc-status-details-bin"]
        assert b"type.googleapis.com/google.rpc.RetryInfo" in details, details
        assert details[:2] == b"\x08\x08", details

    def check_open(self):
        for _ in range(4):
            self.fails("Fail", b"13 broken", grpc.StatusCode.INTERNAL)
        error = self.fails("Echo", b"", grpc.StatusCode.UNAVAILABLE)
        assert 'breaker "careful"' in error.details(), error.details()

    def check_callers_fault(self):
        for _ in range(8):
            self.fails("Fail", b"3 wrong", grpc.StatusCode.INVALID_ARGUMENT)
        assert self.unary("Echo", b"ok") == b"ok"

    def check_falls_ill(self):
        self.unary("Be", b"ill")

    def check_gets_well(self):
        self.unary("Be", b"well")

    def check_retried(self):
        assert self.unary("FailFirst", b"once") == b"3"

    def check_not_retried(self):
        self.fails("FailFirst", b"never", grpc.StatusCode.UNAVAILABLE)

    def check_unroutable(self):
        self.fails("Echo", b"", grpc.StatusCode.UNIMPLEMENTED)

    def check_unreachable(self):
        error = self.fails("Echo", b"", grpc.StatusCode.UNAVAILABLE)
        assert "cannot connect to upstream" in error.details(), error.details()


def check(address, names):
    for name in names:
        client = Client(address)
        try:
            getattr(client, f"check_{name}")()
            print(f"PASS {name}")
        except Exception as error:  # pylint: disable=broad-except
            print(f"FAIL {name}: {type(error).__name__} {error}".replace("\n", " "))
        client.channel.close()


class Load:
    """Callers, one call after the other each, and one stream that lives as long as they do."""

    def __init__(self, address):
        # What a server says it has not begun to handle is sent again by itself; nothing else is.
        self.channel = grpc.insecure_channel(address)
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.answered = 0
        self.failures = []

    def run(self):
        # Until it is connected there is nothing to tell.
        grpc.channel_ready_future(self.channel).result(timeout=20)
        threads = [threading.Thread(target=self.call) for _ in range(4)]
        threads.append(threading.Thread(target=self.converse))
        for thread in threads:
            thread.start()
        print("calling", flush=True)
        sys.stdin.read()
        self.over.set()
        for thread in threads:
            thread.join()
        print(self.answered, len(self.failures), *self.failures[:3], sep="\n")

    def count(self, failure=None):
        with self.lock:
            if failure is None:
                self.answered += 1
            else:
                self.failures.append(" ".join(failure.split()))

    def call(self):
        echo = self.channel.unary_unary("/test.Peer/Echo")
        number = 0
        while not self.over.is_set():
            number += 1
            try:
                assert echo(str(number).encode(), timeout=20) == str(number).encode()
                self.count()
            except (grpc.RpcError, AssertionError) as error:
                self.count(f"{type(error).__name__} {error}")

    def converse(self):
        def requests():
            while not self.over.wait(0.02):
                yield b"still here"

        try:
            for answer in self.channel.stream_stream("/test.Peer/Chat")(requests()):
                assert answer == b"still here"
            self.count()
        except (grpc.RpcError, AssertionError) as error:
            self.count(f"the stream: {type(error).__name__} {error}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["load", where]:
            Load(where).run()
        case ["server"]:
            serve()
        case ["client", where, *which]:
            check(where, which)
        case _:
            sys.exit(__doc__)
