"""What every body must look like, in the project's own words.

Each statement is checked always. Where the environment names a directory with the published specifications
(`BAYD_CAMARA_DIR`), the same bodies are held against those too.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml  # type: ignore[import-untyped]

SPECIFICATIONS = os.environ.get("BAYD_CAMARA_DIR")

_UUID = {"type": "string", "format": "uuid"}
_PORT = {"type": "integer", "minimum": 0, "maximum": 65535}
_PORTS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {
        "ranges": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["from", "to"],
                "additionalProperties": False,
                "properties": {"from": _PORT, "to": _PORT},
            },
        },
        "ports": {"type": "array", "minItems": 1, "items": _PORT},
    },
}
_SERVER = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "properties": {"ipv4Address": {"type": "string"}, "ipv6Address": {"type": "string"}},
}
_STATUS = {"enum": ["REQUESTED", "AVAILABLE", "UNAVAILABLE"]}
_CAUSE = {"enum": ["DURATION_EXPIRED", "NETWORK_TERMINATED", "DELETE_REQUESTED"]}
_TIME = {
    "type": "string",
    "format": "date-time",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
}

OUR_STATEMENTS: dict[str, dict[str, Any]] = {
    "0.10 SessionInfo": {
        "type": "object",
        "additionalProperties": False,
        "required": [
            "device",
            "applicationServer",
            "qosProfile",
            "sessionId",
            "duration",
            "startedAt",
            "expiresAt",
            "qosStatus",
        ],
        "properties": {
            "device": {"type": "object", "minProperties": 1},
            "applicationServer": _SERVER,
            "devicePorts": _PORTS,
            "applicationServerPorts": _PORTS,
            "qosProfile": {"type": "string"},
            "webhook": {
                "type": "object",
                "additionalProperties": False,  # above all: no notificationAuthToken
                "required": ["notificationUrl"],
                "properties": {"notificationUrl": {"type": "string"}},
            },
            "sessionId": _UUID,
            "duration": {"type": "integer", "minimum": 1},
            "startedAt": {"type": "integer"},
            "expiresAt": {"type": "integer"},
            "qosStatus": _STATUS,
            "messages": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["severity", "description"],
                    "properties": {
                        "severity": {"enum": ["INFO", "WARNING"]},
                        "description": {"type": "string"},
                    },
                },
            },
        },
    },
    "1.1 SessionInfo": {
        "type": "object",
        "additionalProperties": False,  # above all: no sinkCredential
        "required": ["applicationServer", "qosProfile", "sessionId", "duration", "qosStatus"],
        "properties": {
            "device": {"type": "object", "minProperties": 1, "maxProperties": 1},
            "applicationServer": _SERVER,
            "devicePorts": _PORTS,
            "applicationServerPorts": _PORTS,
            "qosProfile": {"type": "string"},
            "sink": {"type": "string"},
            "sessionId": _UUID,
            "duration": {"type": "integer", "minimum": 1},
            "startedAt": _TIME,
            "expiresAt": _TIME,
            "qosStatus": _STATUS,
            "statusInfo": _CAUSE,
        },
    },
    "ErrorInfo": {
        "type": "object",
        "additionalProperties": False,
        "required": ["status", "code", "message"],
        "properties": {
            "status": {"type": "integer"},
            "code": {"type": "string", "pattern": r"^[A-Z_.]+$"},
            "message": {"type": "string", "minLength": 1},
        },
    },
    "1.1 EventQosStatusChanged": {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "source", "specversion", "type", "time", "data"],
        "properties": {
            "id": _UUID,
            "source": {"type": "string"},
            "specversion": {"const": "1.0"},
            "type": {"const": "org.camaraproject.quality-on-demand.v1.qos-status-changed"},
            "datacontenttype": {"const": "application/json"},
            "time": _TIME,
            "data": {
                "type": "object",
                "additionalProperties": False,
                "required": ["sessionId", "qosStatus"],
                "properties": {
                    "sessionId": _UUID,
                    "qosStatus": {"enum": ["AVAILABLE", "UNAVAILABLE"]},
                    "statusInfo": _CAUSE,
                },
            },
        },
    },
}

# Ours -> the file and the schema of the specification.
_PUBLISHED = {
    "0.10 SessionInfo": ("qod-api-0.10.1.yaml", "SessionInfo"),
    "1.1 SessionInfo": ("quality-on-demand-1.1.0.yaml", "SessionInfo"),
    "ErrorInfo": ("quality-on-demand-1.1.0.yaml", "ErrorInfo"),
    "1.1 EventQosStatusChanged": ("quality-on-demand-1.1.0.yaml", "EventQosStatusChanged"),
}


def check_body(name: str, body: Any) -> None:
    """Raises jsonschema_rs.ValidationError."""
    _own(name).validate(body)
    if SPECIFICATIONS is not None:
        _published(*_PUBLISHED[name]).validate(body)


@cache
def _own(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(OUR_STATEMENTS[name], validate_formats=True)


@cache
def _published(file: str, schema: str) -> jsonschema_rs.Draft4Validator:
    assert SPECIFICATIONS is not None
    document = yaml.safe_load((Path(SPECIFICATIONS) / file).read_text())
    wanted = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return jsonschema_rs.Draft4Validator(wanted, validate_formats=True)
