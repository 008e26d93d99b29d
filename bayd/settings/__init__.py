"""The configuration: a module for each table of the file, and one that loads them all."""

from bayd.settings.central import Central, WalkIn
from bayd.settings.checks import is_loopback
from bayd.settings.complaints import Complaint, ConfigurationError
from bayd.settings.configuration import Configuration, Settings
from bayd.settings.loading import load, load_for_start
from bayd.settings.log import Log
from bayd.settings.play import Balls, BaySettings, Play
from bayd.settings.qod import BayQod, Qod, QodWebhook
from bayd.settings.screens import Screens
from bayd.settings.site import Http, Site, State
from bayd.settings.staff import Staff

__all__ = [
    "Balls",
    "BayQod",
    "BaySettings",
    "Central",
    "Complaint",
    "Configuration",
    "ConfigurationError",
    "Http",
    "Log",
    "Play",
    "Qod",
    "QodWebhook",
    "Screens",
    "Settings",
    "Site",
    "Staff",
    "State",
    "WalkIn",
    "is_loopback",
    "load",
    "load_for_start",
]
