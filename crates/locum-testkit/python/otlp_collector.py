"""A collector of OpenTelemetry: says where it takes OTLP/gRPC and where OTLP/HTTP, and then every span that it is sent, a
line of JSON each, with the attributes of its resource. `fail N`: it answers the first N requests with UNAVAILABLE, or
503; `hang`: it answers none.

What it is sent is read by the classes that OpenTelemetry generates from its own definitions.
"""

import json
import sys
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

lock = threading.Lock()
failures = 0
hangs = False


def value_of(value):
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def pairs(attributes):
    told = {pair.key: value_of(pair.value) for pair in attributes}
    assert len(told) == len(attributes), f"told twice: {[pair.key for pair in attributes]}"
    return told


def take(message, way, headers):
    """Says what is in a request, or gives false where it is to fail."""
    global failures
    while hangs:
        time.sleep(0.05)
    request = trace_service_pb2.ExportTraceServiceRequest.FromString(message)
    with lock:
        if failures > 0:
            failures -= 1
            return False
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    say(resource.resource, scope.scope, span, way, headers)
    return True


def say(resource, scope, span, way, headers):
    told = {
        "way": way,
        "headers": headers,
        "resource": pairs(resource.attributes),
        "scope": scope.name,
        "trace": span.trace_id.hex(),
        "span": span.span_id.hex(),
        "parent": span.parent_span_id.hex(),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "start": span.start_time_unix_nano,
        "end": span.end_time_unix_nano,
        "attributes": pairs(span.attributes),
        "events": [
            {"name": event.name, "at": event.time_unix_nano, "attributes": pairs(event.attributes)}
            for event in span.events
        ],
        "status": span.status.code,
        "message": span.status.message,
    }
    print(json.dumps(told), flush=True)


def export(message, context):
    headers = {key: value for key, value in context.invocation_metadata() if key.startswith("x-")}
    if not take(message, "grpc", headers):
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    return trace_service_pb2.ExportTraceServiceResponse().SerializeToString()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # pylint: disable=invalid-name
        message = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
        headers = {key.lower(): value for key, value in self.headers.items() if key.lower().startswith("x-")}
        self.send_response(200 if take(message, "http", headers) else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main(arguments):
    global failures, hangs
    match arguments:
        case ["fail", count]:
            failures = int(count)
        case ["hang"]:
            hangs = True
        case []:
            pass
        case _:
            sys.exit(__doc__)
    of = grpc.method_handlers_generic_handler(
        "opentelemetry.proto.collector.trace.v1.TraceService",
        {"Export": grpc.unary_unary_rpc_method_handler(export)},
    )
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(of,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    print(f"127.0.0.1:{port} 127.0.0.1:{web.server_address[1]}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(sys.argv[1:])
