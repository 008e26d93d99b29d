"""What the operator refuses, in the shapes of the wire. No text ever holds a value that the caller sent."""

from http import HTTPStatus


class ApiError(Exception):
    """`{status, code, message}` (CAMARA `ErrorInfo`)."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.message = message

    def body(self) -> dict[str, object]:
        return {"status": self.status, "code": self.code, "message": self.message}


class TokenError(Exception):
    """`{error, error_description}` (RFC 6749 section 5.2)."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.error = error
        self.description = description

    def body(self) -> dict[str, object]:
        return {"error": self.error, "error_description": self.description}


def older_body(status: int, code: str) -> dict[str, object]:
    """The error body of gateways older than CAMARA's."""
    return {
        "reasonCode": code,
        "systemMessage": HTTPStatus(status).phrase,
        "userMessage": "The request could not be completed.",
    }


def invalid_argument(message: str) -> ApiError:
    return ApiError(400, "INVALID_ARGUMENT", message)


def out_of_range(message: str) -> ApiError:
    return ApiError(400, "OUT_OF_RANGE", message)


def unauthenticated(message: str) -> ApiError:
    return ApiError(401, "UNAUTHENTICATED", message)


def permission_denied(message: str) -> ApiError:
    return ApiError(403, "PERMISSION_DENIED", message)


def not_found(message: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", message)


def conflict(message: str) -> ApiError:
    return ApiError(409, "CONFLICT", message)


def invalid_client(description: str) -> TokenError:
    return TokenError(401, "invalid_client", description)
