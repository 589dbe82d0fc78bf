#!/usr/bin/env python3
"""Answers GET /weather/AIRPORT with {"sky": ...}: always the same for the same airport, 404 for ZZZ.

weather.py [PORT [AIRPORT=SECONDS ...]]   default: 8080. An airport that is named is answered after so many seconds.
"""
import json
import sys
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SKIES = ["clear", "clouds", "rain", "snow"]
SLOW = {name: float(seconds) for name, seconds in (a.split("=") for a in sys.argv[2:])}


class Weather(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        airport = self.path.rpartition("/")[2]
        time.sleep(SLOW.get(airport, 0.002))
        status, answer = 200, {"sky": SKIES[zlib.crc32(airport.encode()) % len(SKIES)]}
        if airport == "ZZZ":
            status, answer = 404, {"error": "unknown airport"}
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8080), Weather).serve_forever()
