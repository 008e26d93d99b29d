"""bayd, the bay controller of RFID golf ranges."""

__version__ = "0.1.0"
