"""Requests that break HTTP's rules, or strain them: each is answered as the table says, and none is taken for two."""
import contextlib
import socket
import time

import pytest

from socket_client import wait_for

H = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"


def get(path=b"/health", more=b"", version=b"HTTP/1.1", host=H):
    return b"GET " + path + b" " + version + b"\r\n" + host + more + b"\r\n"


def post(more, body=b"", path=b"/v1/audio/speech"):
    return b"POST " + path + b" HTTP/1.1\r\n" + H + JSON + more + b"\r\n" + body


# name: (bytes, the statuses that come back, in order)
CASES = {
    "plain": (get(), [200]),
    "empty lines before it": (b"\r\n\r\n" + get(), [200]),
    "two after each other": (get() + get(b"/nothing"), [200, 404]),
    "pipelined behind a body": (post(b"Content-Length: 2\r\n", b"{}") + get(), [400, 200]),
    "chunked behind each other": (post(b"Transfer-Encoding: chunked\r\n", b"2;x=1\r\n{}\r\n0\r\nTrailer: z\r\n\r\n") + get(), [400, 200]),
    "HTTP/1.0": (get(version=b"HTTP/1.0", host=b""), [200]),
    "absolute form": (get(b"http://h/health"), [200]),
    "HEAD": (b"HEAD /health HTTP/1.1\r\n" + H + b"\r\n", [200]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", [204]),
    "no Host": (get(host=b""), [400]),
    "two Hosts": (get(more=b"Host: y\r\n"), [400]),
    "both lengths": (post(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [400]),
    "two lengths": (post(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd") + get(), [400]),
    "two equal lengths": (post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc") + get(), [400]),
    "length +3": (post(b"Content-Length: +3\r\n", b"abc") + get(), [400]),
    "length -1": (post(b"Content-Length: -1\r\n", b"abc") + get(), [400]),
    "length list": (post(b"Content-Length: 3, 3\r\n", b"abc") + get(), [400]),
    "length of 30 digits": (post(b"Content-Length: " + b"9" * 30 + b"\r\n", b"abc"), [400]),
    "length 0x3": (post(b"Content-Length: 0x3\r\n", b"abc"), [400]),
    "coding identity, chunked": (post(b"Transfer-Encoding: identity, chunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [501]),
    "coding gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [501]),
    "coding xchunked": (post(b"Transfer-Encoding: xchunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [400, 501]),
    "coding twice": (post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [400]),
    "space before the colon": (post(b"Transfer-Encoding : chunked\r\n", b"2\r\nab\r\n0\r\n\r\n") + get(), [400]),
    "coding in HTTP/1.0": (post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n").replace(b"HTTP/1.1", b"HTTP/1.0") + get(), [400]),
    "chunk size -2": (post(b"Transfer-Encoding: chunked\r\n", b"-2\r\nab\r\n0\r\n\r\n") + get(), [400]),
    "chunk size 0x2": (post(b"Transfer-Encoding: chunked\r\n", b"0x2\r\nab\r\n0\r\n\r\n") + get(), [400]),
    "chunk of 17 digits": (post(b"Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\nab\r\n0\r\n\r\n"), [400, 413]),
    "chunk without its end": (post(b"Transfer-Encoding: chunked\r\n", b"2\r\nabX\r\n0\r\n\r\n") + get(), [400]),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: x\n\n", [400]),
    "bare line feed in a header": (get(more=b"A: b\nB: c\r\n"), [400]),
    "bare carriage return": (get(more=b"A: b\rB: c\r\n"), [400]),
    "NUL in a header": (get(more=b"A: b\0c\r\n"), [400]),
    "control character": (get(more=b"A: b\x01c\r\n"), [400]),
    "folded header": (get(more=b"A: b\r\n c\r\n"), [400]),
    "folded first header": (b"GET /health HTTP/1.1\r\n Host: x\r\n\r\n", [400]),
    "space in a name": (get(more=b"A b: c\r\n"), [400]),
    "no name": (get(more=b": c\r\n"), [400]),
    "no colon": (get(more=b"abc\r\n"), [400]),
    "head too large": (get(more=b"A: " + b"b" * 20000 + b"\r\n"), [431]),
    "target too large": (get(b"/" + b"a" * 20000), [431]),
    "too many headers": (get(more=b"a:\r\n" * 150), [431]),
    "HTTP/1.2": (get(version=b"HTTP/1.2"), [400, 505]),
    "HTTP/9.9": (get(version=b"HTTP/9.9"), [400, 505]),
    "HTTP/0.9": (b"GET /health\r\n\r\n", [400, 505]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400, 505]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"A" * 200, [400]),
    "noise": (bytes(range(128, 256)) * 4, [400]),
    "method BREW": (b"BREW /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "method in small letters": (b"get /health HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "CONNECT": (b"CONNECT h:1 HTTP/1.1\r\n" + H + b"\r\n", [400]),
    "PUT": (b"PUT /health HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n", [405]),
    "POST where GET is": (b"POST /health HTTP/1.1\r\n" + H + b"Content-Length: 0\r\n\r\n", [405]),
    "percent, malformed": (get(b"/v1/models/%zz"), [400]),
    "percent 00": (get(b"/v1/models/a%00b"), [400]),
    "percent, no UTF-8": (get(b"/v1/models/%ff%fe"), [400]),
    "path upwards": (get(b"/v1/../etc/passwd"), [404]),
    "path upwards, encoded": (get(b"/v1/models/..%2f..%2fetc%2fpasswd"), [404]),
    "query of many parts": (get(b"/health?" + b"a=b&" * 100), [400]),
    "compressed body": (post(b"Content-Encoding: gzip\r\nContent-Length: 2\r\n", b"{}"), [415]),
    "body announced too large": (post(b"Content-Length: 999999999\r\n", b"x" * 100000), [413]),
    "expect too large": (post(b"Content-Length: 999999999\r\nExpect: 100-continue\r\n"), [413]),
    "expect nonsense": (post(b"Content-Length: 3\r\nExpect: banana\r\n", b"abc"), [417]),
    "expect and send": (post(b"Content-Length: 2\r\nExpect: 100-continue\r\n", b"{}") + get(), [400, 200]),
    "websocket where none is": (get(more=b"Upgrade: websocket\r\nConnection: Upgrade\r\n"), [200]),
    "h2c": (get(more=b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"), [200]),
}


def statuses(answer, head_only=False):
    """Of every answer in what came back; each must be whole."""
    found = []
    while answer:
        head, end, answer = answer.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        assert end and lines[0].startswith(b"HTTP/1.1 "), head[:200]
        status = int(lines[0].split()[1])
        if status == 100:
            continue
        found.append(status)
        fields = {k.lower(): v for k, v in (line.split(b": ", 1) for line in lines[1:])}
        length = 0 if head_only else int(fields.get(b"content-length", 0))
        assert len(answer) >= length
        answer = answer[length:]
    return found


def whole(n, **more):
    """Is what came n whole answers, or more?"""
    def enough(answer):
        try:
            return len(statuses(answer, **more)) >= n
        except (AssertionError, IndexError):
            return False
    return enough


@pytest.mark.parametrize("name", CASES)
def test_answer(server, name):
    """The answers that are due, and in a quarter of a second no more."""
    data, wanted = CASES[name]
    one_of = len(wanted) > 1 and name not in ("two after each other", "pipelined behind a body", "chunked behind each other", "expect and send")
    answer = server.raw(data, 0.25, whole(1 if one_of else len(wanted), head_only=name == "HEAD"))
    got = statuses(answer, head_only=name == "HEAD")
    assert (len(got) == 1 and got[0] in wanted) if one_of else got == wanted, answer[:400]
    assert 500 not in got and server.alive() and server.get("/health").status == 200


def test_expect_continue_is_answered_before_the_body(server):
    with server.connect() as s:
        s.sendall(post(b"Content-Length: 2\r\nExpect: 100-continue\r\n"))
        assert s.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b"{}")
        assert s.recv(1000).startswith(b"HTTP/1.1 400")


def test_a_body_too_large_gets_its_answer_while_it_is_sent(start):
    """The answer must not be lost to a reset: the server reads on for a while."""
    server = start("--body_megabytes=1")
    for head in (b"Content-Length: 3000000\r\n", b"Transfer-Encoding: chunked\r\n"):
        body = b"x" * 3000000 if b"Length" in head else (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 45 + b"0\r\n\r\n"
        assert statuses(server.raw(post(head, body), enough=whole(1))) == [413]
    assert server.speak(input="Say these words.", response_format="pcm").status == 200


def test_heads_in_any_pieces(server):
    """However a request is cut, the answers are the same."""
    data = post(b"Content-Length: 2\r\n", b"{}") + get() + post(b"Transfer-Encoding: chunked\r\n", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n") + get()
    for size in (1, 3, 50):
        with server.connect() as s:
            for at in range(0, len(data), size):
                s.sendall(data[at:at + size])
            got = b""
            while not whole(4)(got) and (part := s.recv(65536)):
                got += part
            assert statuses(got) == [400, 200, 400, 200]


def test_drips_are_cut_at_absolute_deadlines(start):
    """A byte now and then does not prolong a deadline: of bytes for a minute the first few are taken."""
    server = start("--head_seconds=2", "--body_seconds=0.5", "--keep_alive_seconds=0.5")
    for data in (b"GET /health HTTP/1.1\r\nHost: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", post(b"Content-Length: 5000\r\n", b"{")):
        with server.connect() as s:
            answer = b""
            with contextlib.suppress(ConnectionError):  # the server has closed
                s.sendall(data)
                for _ in range(2000):
                    s.sendall(b"x")
                    time.sleep(0.03)
                raise AssertionError("the server reads on and on")
            with contextlib.suppress(ConnectionError):
                answer = s.recv(1000)
        assert answer.startswith(b"HTTP/1.1 408") or not answer
    with server.connect() as s:  # between requests: closed without a word
        s.sendall(get())
        assert s.recv(1000).startswith(b"HTTP/1.1 200")
        assert s.recv(1000) == b""
    with server.connect() as s:  # nothing at all
        assert s.recv(1000) == b""


def served(server):
    """Is there room for one more?"""
    try:
        return server.get("/health").status == 200
    except ConnectionError:
        return False


def test_connections_beyond_the_limit(start):
    server = start("--connections=20", "--connections_per_address=12")
    held = [server.connect() for _ in range(12)]  # which are accepted in their order
    with server.connect() as s:
        answer = s.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503") and b"Retry-After" in answer
    for s in held:
        s.close()
    wait_for(lambda: served(server))


def test_no_descriptors_left(start):
    """Those that are let in are served, and when some leave others come in."""
    server = start("--connections=500", descriptors=60)
    held = []
    try:
        for _ in range(100):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=2))
    except OSError:
        pass
    time.sleep(0.5)
    assert server.alive()
    for s in held:
        s.close()
    wait_for(lambda: served(server))


def test_cors(start):
    server = start("--cors_origin=https://page.example")
    reply = server.ask("OPTIONS", "/v1/audio/speech", headers={"Origin": "https://page.example", "Access-Control-Request-Method": "POST"})
    assert reply.status == 204 and reply.headers["Access-Control-Allow-Origin"] == "https://page.example"
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
    assert server.get("/health").headers["Access-Control-Allow-Origin"] == "https://page.example"


def test_no_cors_unless_asked(server):
    assert server.get("/health", headers={"Origin": "https://page.example"}).headers["Access-Control-Allow-Origin"] is None


UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def status_of_host(server, host, path=b"/health", more=b"", method=b"GET"):
    host = host.replace("PORT", str(server.port)).encode()
    answer = server.raw(b"%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\n\r\n" % (method, path, host, more))
    if b" 403 " in answer:
        assert b"unknown_host" in answer and b"--allowed_hosts" in answer
    return int(answer.split()[1])


@pytest.mark.parametrize("host,let", [
    ("evil.example:PORT", False), ("EVIL.EXAMPLE.:0PORT", False), ("127.0.0.1.evil.example:PORT", False), ("localhost.evil.example:PORT", False),
    ("evil.example:PORTx", False), ("x:PORT", False), ("[evil.example]:PORT", False), ("internal:PORT", False), ("", True), ("x", True),
    ("tts.example.org", True), ("tts.example.org:443", True), ("localhost:PORT", True), ("LocalHost.:PORT", True), ("a.localhost:PORT", True),
    ("host.docker.internal:PORT", True), ("127.0.0.1:PORT", True), ("192.168.1.7:PORT", True), ("[::1]:PORT", True), ("[fe80::1]:PORT", True)])
def test_names_that_point_here_from_elsewhere(server, host, let):
    """DNS rebinding: a browser names the port to which it connects; a proxy in front names none or its own."""
    assert status_of_host(server, host) == (200 if let else 403)


def test_every_path_asks_for_the_name(server):
    for path, more, method in ((b"/", b"", b"GET"), (b"/metrics", b"", b"GET"), (b"/nothing", b"", b"GET"), (b"/v1/realtime", UPGRADE, b"GET"),
                               (b"/v1/audio/speech/stream", UPGRADE, b"GET"), (b"/v1/audio/speech", b"", b"POST"), (b"*", b"", b"OPTIONS"),
                               (b"/v1/audio/voices/x", b"", b"DELETE")):
        assert status_of_host(server, "evil.example:PORT", path, more, method) == 403, path
    assert server.raw(b"GET /readyz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200")  # no browser, and in Docker's health check


def ipv6_is_here():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as s:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::ffff:127.0.0.1", 0))
        return True
    return False


def test_names_by_an_option(start):
    server = start("--allowed_hosts=tts.example.org,.lan.example")
    for host, let in (("tts.example.org", True), ("tts.example.org:PORT", True), ("a.lan.example:1", True), ("lan.example", False),
                      ("evil.example", False), ("evil.example:443", False), ("localhost:PORT", True), ("127.0.0.1", True)):
        assert (status_of_host(server, host) == 200) == let, host
    assert status_of_host(start("--allowed_hosts=*"), "evil.example:PORT") == 200
    trailing = start("--allowed_hosts=a,")  # what stands behind a comma is no name, and lets none in
    for host, let in (("a", True), ("", False), (":PORT", False), (".", False), (",", False)):
        assert (status_of_host(trailing, host) == 200) == let, host
    if ipv6_is_here():
        mapped = start("--host=::ffff:127.0.0.1")
        assert status_of_host(mapped, "evil.example:PORT") == 403 and status_of_host(mapped, "localhost:PORT") == 200
    everywhere = start("--host=0.0.0.0")  # a machine of others' names
    assert status_of_host(everywhere, "tts.example.org:PORT") == 200
