"""Requests that two implementations could read in two ways. Each is sent with a second request
behind it: it must be refused and the connection closed, so the second is never answered."""
import unittest

from echo import OK, EchoCase, statuses

H = b"Host: x\r\n"


def head(*lines, start=b"POST /echo HTTP/1.1"):
    return start + b"\r\n" + H + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def raw(*lines):
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def chunked(body):
    return head(b"Transfer-Encoding: chunked") + body


def target(t):
    return raw(b"GET " + t + b" HTTP/1.1", b"Host: x")


AMBIGUOUS = {
    "CL and TE": (head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "TE and CL": (head(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n", 400),
    "two CL, different": (head(b"Content-Length: 5", b"Content-Length: 6") + b"hello", 400),
    "two CL, equal": (head(b"Content-Length: 5", b"Content-Length: 5") + b"hello", 400),
    "CL list": (head(b"Content-Length: 5, 5") + b"hello", 400),
    "CL +": (head(b"Content-Length: +5") + b"hello", 400),
    "CL -": (head(b"Content-Length: -5") + b"hello", 400),
    "CL hex": (head(b"Content-Length: 0x5") + b"hello", 400),
    "CL empty": (head(b"Content-Length:"), 400),
    "CL inner space": (head(b"Content-Length: 5 5") + b"hello", 400),
    "CL overflow": (head(b"Content-Length: 18446744073709551621") + b"hello", 400),
    "CL with space before colon": (head(b"Content-Length : 5") + b"hello", 400),
    "CL with tab before colon": (head(b"Content-Length\t: 5") + b"hello", 400),
    "TE with space before colon": (head(b"Transfer-Encoding : chunked") + b"0\r\n\r\n", 400),
    "TE twice": (head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") +
                 b"0\r\n\r\n", 400),
    "TE chunked, chunked": (head(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", 400),
    "TE gzip, chunked": (head(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 400),
    "TE chunked, identity": (head(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n", 400),
    "TE quoted": (head(b'Transfer-Encoding: "chunked"') + b"0\r\n\r\n", 400),
    "TE xchunked": (head(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 400),
    "TE vertical tab": (head(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n", 400),
    "TE empty": (head(b"Transfer-Encoding:") + b"0\r\n\r\n", 400),
    "TE identity": (head(b"Transfer-Encoding: identity", b"Content-Length: 5") + b"hello", 501),
    "TE unknown": (head(b"Transfer-Encoding: brotli") + b"hello", 501),
    "TE in HTTP/1.0": (head(b"Transfer-Encoding: chunked", start=b"POST /echo HTTP/1.0") +
                       b"0\r\n\r\n", 400),
    "TE folded": (head(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", 400),
    "chunk size 0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size +": (chunked(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size -": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size trailing space": (chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size leading space": (chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size empty": (chunked(b"\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size 9 digits": (chunked(b"000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size 17 digits": (chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk size underscore": (chunked(b"1_0\r\nhello\r\n0\r\n\r\n"), 400),
    "chunk data without CRLF": (chunked(b"5\r\nhello0\r\n\r\n"), 400),
    "chunk data with LF": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    "chunk data with CR": (chunked(b"5\r\nhello\rX0\r\n\r\n"), 400),
    "chunk line with LF": (chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    "chunk line with CR": (chunked(b"5\rXhello\r\n0\r\n\r\n"), 400),
    "LF in chunk extension": (chunked(b"5;a\nhello\r\n0\r\n\r\n"), 400),
    "space before chunk extension": (chunked(b"5 ;a\r\nhello\r\n0\r\n\r\n"), 400),
    "NUL in chunk extension": (chunked(b"5;\0\r\nhello\r\n0\r\n\r\n"), 400),
    "long chunk extension": (chunked(b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n"), 400),
    "last chunk with LF": (chunked(b"5\r\nhello\r\n0\n\n"), 400),
    "trailer without colon": (chunked(b"0\r\nfoo\r\n\r\n"), 400),
    "trailer with LF": (chunked(b"0\r\na: b\n\r\n"), 400),
    "trailer folded": (chunked(b"0\r\na: b\r\n c\r\n\r\n"), 400),
    "trailers too large": (chunked(b"0\r\na: " + b"b" * 9000 + b"\r\n\r\n"), 400),
    "too many trailers": (chunked(b"0\r\n" + b"a: b\r\n" * 33 + b"\r\n"), 400),
    "bare LF head": (b"GET /info HTTP/1.1\nHost: x\n\n", 400),
    "bare LF after a header": (b"GET /info HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    "bare LF at the end": (b"GET /info HTTP/1.1\r\nHost: x\r\n\n", 400),
    "bare CR in a value": (head(b"A: b\rContent-Length: 5") + b"hello", 400),
    "bare CR in the request line": (b"GET /info\r HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "obs-fold": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: b", b" c"), 400),
    "obs-fold with tab": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: b", b"\tc"), 400),
    "space before the first header": (raw(b"GET /info HTTP/1.1", b" Host: x"), 400),
    "empty header name": (raw(b"GET /info HTTP/1.1", b"Host: x", b": b"), 400),
    "header without colon": (raw(b"GET /info HTTP/1.1", b"Host: x", b"Content-Length"), 400),
    "header name with space": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A B: c"), 400),
    "header name not ASCII": (raw(b"GET /info HTTP/1.1", b"Host: x", b"\xc3\xa4: c"), 400),
    "header name with parenthesis": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A(: c"), 400),
    "NUL in a value": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: b\0c"), 400),
    "control in a value": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: b\x01c"), 400),
    "DEL in a value": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: b\x7fc"), 400),
    "no Host": (raw(b"GET /info HTTP/1.1", b"A: b"), 400),
    "two Hosts": (raw(b"GET /info HTTP/1.1", b"Host: x", b"Host: x"), 400),
    "empty Host": (raw(b"GET /info HTTP/1.1", b"Host:"), 400),
    "Host with path": (raw(b"GET /info HTTP/1.1", b"Host: x/y"), 400),
    "Host with user": (raw(b"GET /info HTTP/1.1", b"Host: a@x"), 400),
    "Host with space": (raw(b"GET /info HTTP/1.1", b"Host: x y"), 400),
    "Host list": (raw(b"GET /info HTTP/1.1", b"Host: x, y"), 400),
    "Host with bad port": (raw(b"GET /info HTTP/1.1", b"Host: x:8a"), 400),
    "absolute target of another host": (raw(b"GET http://y/info HTTP/1.1", b"Host: x"), 400),
    "absolute target with user": (raw(b"GET http://a@x/info HTTP/1.1", b"Host: x"), 400),
    "absolute target of another scheme": (raw(b"GET ftp://x/info HTTP/1.1", b"Host: x"), 400),
    "CONNECT": (raw(b"CONNECT x:80 HTTP/1.1", b"Host: x:80"), 400),
    "asterisk with GET": (target(b"*"), 400),
    "relative target": (target(b"info"), 400),
    "HTTP/1.2": (raw(b"GET /info HTTP/1.2", b"Host: x"), 505),
    "HTTP/2.0": (raw(b"GET /info HTTP/2.0", b"Host: x"), 505),
    "HTTP/0.9 with version": (raw(b"GET /info HTTP/0.9", b"Host: x"), 505),
    "HTTP/0.9": (b"GET /info\r\n\r\n", 400),
    "lower-case http": (raw(b"GET /info http/1.1", b"Host: x"), 400),
    "HTTP/1.10": (raw(b"GET /info HTTP/1.10", b"Host: x"), 400),
    "HTTP/01.1": (raw(b"GET /info HTTP/01.1", b"Host: x"), 400),
    "two spaces before the target": (raw(b"GET  /info HTTP/1.1", b"Host: x"), 400),
    "two spaces after the target": (raw(b"GET /info  HTTP/1.1", b"Host: x"), 400),
    "space at the end": (raw(b"GET /info HTTP/1.1 ", b"Host: x"), 400),
    "space at the start": (raw(b" GET /info HTTP/1.1", b"Host: x"), 400),
    "tab in the request line": (raw(b"GET\t/info HTTP/1.1", b"Host: x"), 400),
    "target with tab": (target(b"/in\tfo"), 400),
    "target with space": (target(b"/in fo"), 400),
    "target not ASCII": (target(b"/\xc3\xa4"), 400),
    "target with fragment": (target(b"/info#x"), 400),
    "target with NUL": (target(b"/\0"), 400),
    "bad escape": (target(b"/%zz"), 400),
    "cut escape": (target(b"/%2"), 400),
    "escaped NUL": (target(b"/%00"), 400),
    "method not a token": (raw(b"GE(T /info HTTP/1.1", b"Host: x"), 400),
    "long method": (raw(b"M" * 33 + b" /info HTTP/1.1", b"Host: x"), 400),
    "two leading CRLF": (b"\r\n\r\n" + OK, 400),
    "leading LF": (b"\n" + OK, 400),
    "unknown expectation": (head(b"Expect: 200-ok", b"Content-Length: 5") + b"hello", 417),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
}

HARMLESS = {
    "one leading CRLF": (b"\r\n" + OK, 200),
    "absolute target": (raw(b"GET http://x/info HTTP/1.1", b"Host: x"), 200),
    "absolute target without path": (raw(b"GET http://X HTTP/1.1", b"Host: x"), 200),
    "OPTIONS *": (raw(b"OPTIONS * HTTP/1.1", b"Host: x"), 200),
    "IPv6 Host": (raw(b"GET /info HTTP/1.1", b"Host: [::1]:80"), 200),
    "TE in upper case": (head(b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n", 200),
    "chunk extension": (chunked(b"5;a=\"b\";c\r\nhello\r\n0;x\r\n\r\n"), 200),
    "trailers": (chunked(b"5\r\nhello\r\n0\r\nA: b\r\nContent-Length: 9\r\n\r\n"), 200),
    "8 digits of size": (chunked(b"00000005\r\nhello\r\n0\r\n\r\n"), 200),
    "white space around a value": (head(b"Content-Length:\t 5 \t") + b"hello", 200),
    "empty header value": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A:"), 200),
    "obs-text in a value": (raw(b"GET /info HTTP/1.1", b"Host: x", b"A: \xe4"), 200),
    "unknown method": (raw(b"PURGE /info HTTP/1.1", b"Host: x"), 200),
}


class Smuggling(EchoCase):
    def test_refused_and_closed(self):
        for name, (request, status) in AMBIGUOUS.items():
            with self.subTest(name):
                self.assertEqual(statuses(self.server.exchange(request + OK)), [status])

    def test_refused_byte_by_byte(self):
        """The same when the bytes come one at a time (for those that are short)."""
        for name, (request, status) in AMBIGUOUS.items():
            if len(request) > 200:
                continue
            with self.subTest(name), self.server.connect() as c:
                try:
                    for i in range(len(request)):
                        c.send(request[i:i + 1])
                    c.send(OK)
                except (BrokenPipeError, ConnectionResetError):
                    pass
                self.assertEqual(statuses(c.rest()), [status])

    def test_harmless(self):
        for name, (request, status) in HARMLESS.items():
            with self.subTest(name), self.server.connect() as c:
                c.send(request + get_last())
                self.assertEqual(c.answer().status, status)
                self.assertEqual(c.answer().status, 200)
                self.assertTrue(c.ended())


def get_last():
    return b"GET /info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


if __name__ == "__main__":
    unittest.main()
