"""Reading an event stream (WHATWG HTML 9.2) as it comes."""
import http.client
import json
import socket

from helpers.http import strict_json


class Event:
    def __init__(self, name, id_, data, retry):
        self.name, self.id, self.data, self.retry = name, id_, data, retry

    @property
    def json(self):
        return strict_json(self.data)

    def __repr__(self):
        return f"<{self.name} {self.id} {self.data[:300]}>"


class Events:
    """An open stream: .status, .headers, .next(), .rest(); for other answers .body."""

    def __init__(self, address, path, method="GET", body=None, headers=None, timeout=20):
        self.conn = http.client.HTTPConnection(*address, timeout=timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.conn.request(method, path, body, headers or {})
        self.sock = self.conn.sock
        self.reply = self.conn.getresponse()
        self.status, self.headers = self.reply.status, self.reply.headers
        self.is_stream = self.headers.get("Content-Type", "").startswith("text/event-stream")
        self.body = None if self.is_stream else self.reply.read()
        self.comments = []
        self.last_id = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reply.close()
        self.conn.close()

    @property
    def json(self):
        return strict_json(self.body)

    def next(self, timeout=None):
        """The next event; None at the end of the stream. TimeoutError when none comes."""
        if timeout is not None:
            self.sock.settimeout(timeout)
        name, id_, data, retry, has_any = "message", None, [], None, False
        while True:
            try:
                line = self.reply.readline()
            except socket.timeout:
                raise TimeoutError("no event came") from None
            if not line:
                return None
            line = line.decode().rstrip("\r\n")
            if not line:
                if data:
                    return Event(name, id_, "\n".join(data), retry)
                if has_any and retry is not None:
                    return Event("retry", None, "", retry)
                name, id_, data, has_any = "message", None, [], False
                continue
            if line.startswith(":"):
                self.comments.append(line[1:].strip())
                continue
            has_any = True
            field, _, value = line.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                id_ = self.last_id = value
            elif field == "retry":
                retry = int(value)

    def named(self, name, timeout=None):
        """The next event of that name; others are passed over."""
        while True:
            e = self.next(timeout)
            if e is None or e.name == name:
                return e

    def rest(self):
        out = []
        while (e := self.next()) is not None:
            out.append(e)
        return out
