"""The one error of the codecs."""


class MalformedReplyError(Exception):
    """A reply with a right checksum does not have the shape that its request documents."""
