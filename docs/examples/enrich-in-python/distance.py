"""Answers each flight with the distance between its airports, in kilometres.

One line in, one line out: see docs/reference/exec-protocol.md.
"""

import json
import math
import sys

AIRPORTS = {"OSL": (60.19, 11.10), "BGO": (60.29, 5.22), "CPH": (55.62, 12.65), "JFK": (40.64, -73.78)}


def distance(a, b):
    (lat1, lon1), (lat2, lon2) = [[math.radians(x) for x in AIRPORTS[code]] for code in (a, b)]
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return round(2 * 6371 * math.asin(math.sqrt(h)))


def answer(record):
    flight = record["value"]
    if flight.get("cancelled"):
        return {"filter": True}
    try:
        return {"value": distance(flight["origin"], flight["destination"])}
    except KeyError as missing:
        return {"reject": "unknown airport or missing field", "message": str(missing)}


print(json.dumps({"ready": 1}), flush=True)
for line in sys.stdin:
    record = json.loads(line)
    print(json.dumps({"id": record["id"], **answer(record)}), flush=True)
