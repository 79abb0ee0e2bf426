"""A D-Bus client for tests, byte by byte: it can send what no library would let it, and as whom it likes."""
import array
import os
import socket
import struct

FIXED = {"y": "B", "b": "I", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY = 1


def first_of(signature):
    """The first complete type, and the rest."""
    if signature[0] == "a":
        inner, rest = first_of(signature[1:])
        return "a" + inner, rest
    if signature[0] not in "({":
        return signature[0], signature[1:]
    depth = 0
    for at, char in enumerate(signature):
        depth += (char in "({") - (char in ")}")
        if depth == 0:
            return signature[:at + 1], signature[at + 1:]
    raise ValueError(signature)


def types_of(signature):
    while signature:
        one, signature = first_of(signature)
        yield one


def alignment(kind):
    if kind in FIXED:
        return struct.calcsize(FIXED[kind])
    return {"g": 1, "v": 1, "(": 8, "{": 8}.get(kind, 4)


class Body:
    def __init__(self):
        self.data = bytearray()

    def align(self, size):
        self.data += bytes(-len(self.data) % size)

    def add(self, signature, *values):
        for kind, value in zip(types_of(signature), values):
            self.add_one(kind, value)
        return self

    def add_one(self, kind, value):
        self.align(alignment(kind[0]))
        if kind in FIXED:
            self.data += struct.pack("<" + FIXED[kind], value)
        elif kind in "so":
            raw = value.encode("utf-8", "surrogateescape")
            self.data += struct.pack("<I", len(raw)) + raw + b"\0"
        elif kind == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif kind == "v":
            inner, content = value
            self.add_one("g", inner)
            self.add_one(inner, content)
        elif kind[0] == "a":
            self.add_array(kind[1:], value)
        else:
            self.add(kind[1:-1], *value)

    def add_array(self, kind, values):
        at = len(self.data)
        self.data += bytes(4)
        self.align(alignment(kind[0]))
        begin = len(self.data)
        for value in (values.items() if isinstance(values, dict) else values):
            self.add_one(kind, value)
        self.data[at:at + 4] = struct.pack("<I", len(self.data) - begin)


class Reply:
    def __init__(self, kind, serial, error, body, sender, member):
        self.kind, self.serial, self.error, self.body, self.sender, self.member = kind, serial, error, body, sender, member

    @property
    def text(self):
        """Of a body that begins with a string."""
        if len(self.body) < 4:
            return ""
        size, = struct.unpack_from("<I", self.body)
        return self.body[4:4 + size].decode("utf-8", "replace")


class Bus:
    """One connection. `uid`: whose it is; the bus looks at the effective user at the moment of connect(2)."""

    def __init__(self, uid=0):
        self.serial = 0
        self.input = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        os.seteuid(uid)
        try:
            self.socket.connect("/run/dbus/system_bus_socket")
        finally:
            os.seteuid(0)
        self.socket.settimeout(30)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        self.line()
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self.line()
        self.socket.sendall(b"BEGIN\r\n")
        self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")

    def line(self):
        while b"\r\n" not in self.input:
            self.input += self.socket.recv(4096)
        line, self.input = self.input.split(b"\r\n", 1)
        return line

    def close(self):
        self.socket.close()

    def message(self, destination, path, interface, member, signature="", values=(), fds=(), flags=0, body=None):
        self.serial += 1
        body = bytes(Body().add(signature, *values).data) if body is None else body
        fields = [(1, ("o", path)), (2, ("s", interface)), (3, ("s", member)), (6, ("s", destination))]
        if signature:
            fields.append((8, ("g", signature)))
        if fds:
            fields.append((9, ("u", len(fds))))
        header = Body().add("yyyyuua(yv)", ord("l"), CALL, flags, 1, len(body), self.serial, fields)
        header.align(8)
        return bytes(header.data) + body

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], ancillary)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def receive(self):
        """The next message; its descriptors, if any, are not taken."""
        while True:
            if len(self.input) >= 16:
                size, _, fields = struct.unpack_from("<III", self.input, 4)
                whole = 16 + fields + -fields % 8 + size
                if len(self.input) >= whole:
                    data, self.input = self.input[:whole], self.input[whole:]
                    return self.parse(data, fields, size)
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionResetError("the bus has closed the connection")
            self.input += more

    @staticmethod
    def parse(data, fields_size, size):
        found, at, end = {}, 16, 16 + fields_size
        while at < end:
            at += -at % 8
            code, length = data[at], data[at + 1]
            kind = data[at + 2:at + 2 + length].decode()
            at += 3 + length
            if kind == "g":
                found[code] = data[at + 1:at + 1 + data[at]].decode()
                at += data[at] + 2
                continue
            at += -at % 4
            number, = struct.unpack_from("<I", data, at)
            at += 4
            found[code] = number
            if kind in "so":
                found[code] = data[at:at + number].decode()
                at += number + 1
        return Reply(data[1], found.get(5, 0), found.get(4, ""), data[len(data) - size:], found.get(7, ""), found.get(3, ""))

    def call(self, destination, path, interface, member, signature="", values=(), fds=()):
        self.send(self.message(destination, path, interface, member, signature, values, fds), fds)
        serial = self.serial
        while True:
            reply = self.receive()
            if reply.kind in (RETURN, ERROR) and reply.serial == serial:
                return reply
