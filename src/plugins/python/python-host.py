"""Runs a script of nbdkit's Python plugin, for the process at the other end of descriptor 3.

A call is a frame: its number, the bytes of its words and of its input, its slot of the shared memory,
then words and input. The words are the method and its arguments with a NUL after each. An answer is a
frame too: the number of the call, a status, the bytes of the output, of the complaint and of output in
the slot, then output and complaint. Statuses and outputs are those of nbdkit's sh plugin; three more
statuses are no answers but wishes. Descriptor 4 is the shared memory, if there is any.
"""

import contextlib
import errno
import io
import json
import mmap
import os
import re
import socket
import struct
import sys
import threading
import traceback
import types
from concurrent.futures import ThreadPoolExecutor

CALL = struct.Struct("<IIII")
ANSWER = struct.Struct("<IIIII")
SLOT = 1 << 20
NO_SLOT = 0xFFFFFFFF
OK, ERROR, MISSING, FALSE = 0, 1, 2, 3
DEBUG, SHUTDOWN, DISCONNECT = 100, 101, 102

MODELS = ("serialize_connections", "serialize_all_requests", "serialize_requests", "parallel")
SUPPORTS = ("none", "emulate", "native")
FLAGS = {"may_trim": 1, "fua": 2, "req_one": 4, "fast": 8}
NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOTSUP)
SUFFIXES = {"b": 1, "s": 512, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30,
            "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}


class Channel:
    """The process at the other end."""

    def __init__(self, sock, memory):
        self.sock = sock
        self.memory = memory
        self.reader = sock.makefile("rb", buffering=1 << 18)
        self.lock = threading.Lock()

    def send(self, call, status, output=b"", complaint=b"", shared=0):
        header = ANSWER.pack(call, status, len(output), len(complaint), shared)
        parts = [header, output, complaint]
        whole = sum(map(len, parts))
        with self.lock:
            sent = self.sock.sendmsg(parts)
            if sent < whole:
                self.sock.sendall(b"".join(parts)[sent:])

    def receive(self):
        """The number, words and input, or slot, of the next call; None at the end."""
        header = self.reader.read(CALL.size)
        if len(header) < CALL.size:
            return None
        call, words, data, slot = CALL.unpack(header)
        text = self.reader.read(words).decode("utf-8", "surrogateescape")
        if slot == NO_SLOT:
            given = self.reader.read(data)
        else:
            given = self.memory[slot * SLOT : (slot + 1) * SLOT]
        return call, text.split("\0")[:-1], given


class Connection:
    """What the script and nbdkit know of a client."""

    def __init__(self, handle, export_name, is_tls, peer):
        self.handle = handle
        self.export_name = export_name
        self.is_tls = is_tls
        self.peer = peer


class Here(threading.local):
    """What holds for the call that this thread answers."""

    call = 0
    error = 0
    connection = None


def nbdkit_module(channel, here, stdio_safe):
    """What scripts import as nbdkit."""
    module = types.ModuleType("nbdkit", "Module used to access nbdkit server API")

    def connection():
        if here.connection is None:
            raise RuntimeError("nbdkit: there is no client here")
        return here.connection

    def debug(message):
        text = str(message).encode("utf-8", "surrogateescape")
        channel.send(here.call, DEBUG, text[: 1 << 16])

    def set_error(number):
        here.error = int(number)

    def disconnect(force):
        channel.send(here.call, DISCONNECT, b"1" if force else b"")

    functions = {
        "debug": debug,
        "set_error": set_error,
        "disconnect": disconnect,
        "shutdown": lambda: channel.send(here.call, SHUTDOWN),
        "export_name": lambda: connection().export_name,
        "is_tls": lambda: connection().is_tls,
        "peer_name": lambda: connection().peer.get("address", ""),
        "peer_pid": lambda: connection().peer.get("pid", -1),
        "peer_uid": lambda: connection().peer.get("uid", -1),
        "peer_gid": lambda: connection().peer.get("gid", -1),
        "parse_size": parse_size,
        "parse_probability": parse_probability,
        "stdio_safe": lambda: stdio_safe,
        "nanosleep": nanosleep,
    }
    constants = {"EXTENT_HOLE": 1, "EXTENT_ZERO": 2}
    for number, name in enumerate(MODELS):
        constants["THREAD_MODEL_" + name.upper()] = number
    for number, name in enumerate(SUPPORTS):
        constants["FUA_" + name.upper()] = constants["CACHE_" + name.upper()] = number
    for name, flag in FLAGS.items():
        constants["FLAG_" + ("FAST_ZERO" if name == "fast" else name.upper())] = flag
    module.__dict__.update(functions, **constants)
    return module


def parse_size(text):
    if not isinstance(text, str):
        raise TypeError("parse_size: expected a string")
    match = re.fullmatch(r"\s*\+?(\d{1,19})([bskmgtpe]?)", text, re.IGNORECASE)
    size = match and int(match[1]) * SUFFIXES[match[2].lower() or "b"]
    if size is None or size >= 1 << 63:
        raise ValueError("Unable to parse string as size")
    return size


def parse_probability(what, text):
    match = re.fullmatch(r"([\d.]+(?:e[+-]?\d+)?)(%|:([\d.]+))?", text, re.IGNORECASE)
    if not match:
        raise ValueError(f"{what}: cannot parse '{text}': expected 10%, 0.1 or 1:10")
    below = 100 if match[2] == "%" else float(match[3] or 1)
    return float(match[1]) / below if float(match[1]) else 0.0


def nanosleep(seconds, nanoseconds):
    threading.Event().wait(seconds + nanoseconds / 1e9)


def text_of(value, method):
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    raise TypeError(f"{method} method did not return a string")


def line_of(value, method):
    text = text_of(value, method)
    if b"\n" in text:
        raise ValueError(f"{method} method returned a string with a newline in it")
    return text + b"\n"


def exports_of(value):
    lines = [b"INTERLEAVED\n"]
    for entry in value:
        if isinstance(entry, (str, bytes)):
            entry = (entry, "")
        if not isinstance(entry, tuple) or len(entry) != 2:
            raise TypeError("list_exports method did not return an iterable of 2-tuples")
        lines += [line_of(part, "list_exports") for part in entry]
    return b"".join(lines)


def extents_of(value):
    lines = []
    for entry in value:
        if not isinstance(entry, tuple) or len(entry) != 3:
            raise TypeError("extents method did not return an iterable of 3-tuples")
        lines.append("%d %d %d\n" % entry)
    if not lines:
        raise ValueError("extents method cannot return an empty list")
    return "".join(lines).encode()


def flags_of(text):
    return sum(FLAGS[word] for word in text.split(",") if word)


class Host:
    """The script, and how its functions are called."""

    def __init__(self, channel, generation, stdio_safe):
        self.channel = channel
        self.generation = generation
        self.here = Here()
        self.connections = {}
        self.opened = 0
        self.module = None
        self.version = 1
        sys.modules["nbdkit"] = nbdkit_module(channel, self.here, stdio_safe)

    def load(self, path):
        """Runs the script. Gives the names of its functions."""
        module = self.module = types.ModuleType("__main__")
        module.__file__ = path
        sys.modules["__main__"] = module
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        exec(code, module.__dict__)
        for method in ("open", "get_size", "pread"):
            if not callable(getattr(module, method, None)):
                raise RuntimeError(f"the required function '{method}' is not defined")
        self.version = getattr(module, "API_VERSION", 1)
        if self.version not in (1, 2):
            raise RuntimeError(f"API_VERSION {self.version}: expected 1 or 2")
        names = [name for name, value in vars(module).items() if callable(value)]
        return " ".join(names).encode()

    def answer(self, call, words, data):
        """Calls what is asked for, and sends the answer."""
        method, *arguments = words
        here = self.here
        here.call, here.error, here.connection = call, 0, None
        try:
            output = getattr(self, "do_" + method, self.plain)(method, arguments, data)
            if method == "zero" and here.error in NOT_SUPPORTED:
                self.channel.send(call, MISSING)
            elif output is False:
                self.channel.send(call, FALSE)
            elif isinstance(output, int):
                self.channel.send(call, OK, shared=output)
            else:
                self.channel.send(call, OK, output)
        except BaseException as error:  # A script may raise anything, SystemExit too.
            self.channel.send(call, ERROR, b"", self.complaint(method, error))

    def complaint(self, method, error):
        name = errno.errorcode.get(self.here.error, "EIO")
        words = traceback.format_exception_only(type(error), error)[-1].strip()
        trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        text = f"{name} {method}: {words}\n{trace}"
        return text.encode("utf-8", "backslashreplace")[: 1 << 16]

    def function(self, method):
        return getattr(self.module, method)

    def handle(self, number):
        """The script's own handle; this thread works for its connection from now on."""
        connection = self.here.connection = self.connections.get(number)
        if connection is None:
            raise RuntimeError("the interpreter that served this client has ended")
        return connection.handle

    def plain(self, method, arguments, data):
        """Functions without a handle, that tell nothing."""
        self.function(method)(*arguments)
        return b""

    def do_load(self, method, arguments, data):
        return self.load(*arguments)

    def do_dump_plugin(self, method, arguments, data):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.function(method)()
        return printed.getvalue().encode()

    def do_thread_model(self, method, arguments, data):
        return MODELS[self.function(method)()].encode()

    def do_preconnect(self, method, arguments, data):
        self.function(method)(arguments[0] == "true")
        return b""

    def do_list_exports(self, method, arguments, data):
        return exports_of(self.function(method)(*(word == "true" for word in arguments)))

    def do_default_export(self, method, arguments, data):
        return text_of(self.function(method)(*(word == "true" for word in arguments)), method)

    def do_open(self, method, arguments, data):
        read_only, export_name, tls, peer = arguments
        connection = Connection(None, export_name, tls == "true", json.loads(peer))
        self.here.connection = connection
        connection.handle = self.function(method)(read_only == "true")
        self.opened += 1
        number = f"{self.generation}.{self.opened}"
        self.connections[number] = connection
        return number.encode()

    def do_close(self, method, arguments, data):
        handle = self.handle(arguments[0])
        del self.connections[arguments[0]]
        if hasattr(self.module, method):
            self.function(method)(handle)
        return b""

    def do_export_description(self, method, arguments, data):
        return text_of(self.function(method)(self.handle(*arguments)), method)

    def do_get_size(self, method, arguments, data):
        return b"%d" % self.function(method)(self.handle(*arguments))

    def do_block_size(self, method, arguments, data):
        return b"%d %d %d" % tuple(self.function(method)(self.handle(*arguments)))

    def support(self, method, arguments, data):
        return SUPPORTS[self.function(method)(self.handle(*arguments))].encode()

    do_can_fua = do_can_cache = support

    def flag(self, method, arguments, data):
        return b"" if self.function(method)(self.handle(*arguments)) is True else False

    do_can_write = do_can_flush = do_can_trim = do_can_zero = do_can_fast_zero = flag
    do_can_extents = do_can_multi_conn = do_is_rotational = flag

    def do_pread(self, method, arguments, data):
        number, count, offset = arguments
        handle, count, offset = self.handle(number), int(count), int(offset)
        buffer = data[:count] if data else memoryview(bytearray(count))
        if self.version == 1:
            view = memoryview(self.function(method)(handle, count, offset)).cast("B")
            if len(view) < count:
                raise ValueError(f"{len(view)} bytes instead of {count}")
            buffer[:] = view[:count]
        else:
            self.function(method)(handle, buffer, offset, 0)
        return count if data else buffer

    def do_pwrite(self, method, arguments, data):
        number, count, offset, flags = arguments
        own = () if self.version == 1 else (flags_of(flags),)
        given = memoryview(data)[: int(count)].toreadonly()
        self.function(method)(self.handle(number), given, int(offset), *own)
        return b""

    def do_flush(self, method, arguments, data):
        own = () if self.version == 1 else (0,)
        self.function(method)(self.handle(*arguments), *own)
        return b""

    def ranged(self, method, arguments):
        number, count, offset, flags = arguments
        own = () if self.version == 1 and method == "trim" else (flags_of(flags),)
        if self.version == 1 and method == "zero":
            own = (bool(own[0] & FLAGS["may_trim"]),)
        return self.function(method)(self.handle(number), int(count), int(offset), *own)

    def do_trim(self, method, arguments, data):
        self.ranged(method, arguments)
        return b""

    def do_zero(self, method, arguments, data):
        try:
            self.ranged(method, arguments)
        except Exception:
            if self.here.error not in NOT_SUPPORTED:
                raise
        return b""

    def do_cache(self, method, arguments, data):
        self.ranged(method, [*arguments, ""])
        return b""

    def do_extents(self, method, arguments, data):
        return extents_of(self.ranged(method, arguments))


def serve(generation, stdio_safe, has_memory):
    os.set_inheritable(3, False)
    memory = None
    if has_memory:
        memory = memoryview(mmap.mmap(4, 0))
        os.close(4)
    channel = Channel(socket.socket(fileno=3), memory)
    host = Host(channel, generation, stdio_safe)
    pool = None
    while True:
        received = channel.receive()
        if received is None:
            os._exit(0)
        call, words, _ = received
        if words[0] == "threads":
            pool = ThreadPoolExecutor(max_workers=int(words[1]))
            channel.send(call, OK)
        elif pool:
            pool.submit(host.answer, *received)
        else:
            host.answer(*received)


if __name__ == "__main__":
    if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):
        del sys.path[0]
    serve(sys.argv[1], sys.argv[2] == "true", sys.argv[3] == "true")
