"""`/devices`: readers and ball machines with what they do now, and the journal's and the outbox's pulse.

Drawn here as they are, then kept moving by the script.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus

from aiohttp import web

from bayd.web.access import Caller
from bayd.web.device_documents import FiguresDocument
from bayd.web.pages.board import BoardFrame, elsewhere
from bayd.web.pages.files import StaticFiles
from bayd.web.pages.markup import Child, Html, el
from bayd.web.routes import Answer, Route

_READER = ("reader", "state", "model", "rate", "rounds", "errors")
_PORT = ("reader", "port", "place", "listening", "blind", "revisit")
_MACHINE = ("machine", "state", "level", "stock", "empty_in", "queue")
_PLOTS = ("reads", "blind_rate", "line_errors", "journal", "commit", "outbox")


class DevicesPage:
    def __init__(self, frame: BoardFrame, files: StaticFiles, figures: Callable[[], FiguresDocument]) -> None:
        self._frame = frame
        self._files = files
        self._figures = figures

    def routes(self) -> list[Route]:
        answers = {HTTPStatus.OK: Answer("The page", media_types=("text/html",))}
        return [Route("GET", "/devices", self.show, "The devices", answers, described=False)]

    async def show(self, _request: web.Request, caller: Caller) -> web.StreamResponse:
        if (other := elsewhere(caller, "devices")) is not None:
            return other
        said = self._frame.words
        figures = self._figures()
        plots = [
            el(
                "figure",
                el("h2", said.say(f"devices.{name}"), id=f"plot-{name}-title"),
                el("div", id=f"plot-{name}", class_="plot-canvas", aria_hidden="true"),
                el("figcaption", "", id=f"plot-{name}-now", class_="quiet"),
                class_="plot",
                aria_labelledby=f"plot-{name}-title",
            )
            for name in _PLOTS
        ]
        body = [
            el("div", id="band"),
            el(
                "main",
                el("h1", said.say("devices.title")),
                self._table("readers", _READER, self._readers(figures)),
                self._table("ports", _PORT, self._ports(figures)),
                self._table("dispensers", _MACHINE, self._machines(figures)),
                el("div", *plots, class_="plots"),
            ),
        ]
        return self._frame.page("devices", body, caller, module="devices/main.js", styles=("uplot.css",))

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[Html]) -> Html:
        said = self._frame.words
        head = el("tr", *(el("th", said.say(f"devices.{column}"), scope="col") for column in columns))
        empty = el("tr", el("td", said.say("devices.none"), colspan=len(columns), class_="quiet"))
        title = said.say("devices.ports" if name == "ports" else f"devices.{name}")
        return el(
            "section",
            el("h2", title),
            el(
                "div",
                el("table", el("thead", head), el("tbody", *(rows or [empty]), id=name)),
                class_="plain",
                tabindex=0,
                role="region",
                aria_label=title,
            ),
        )

    def _readers(self, figures: FiguresDocument) -> list[Html]:
        return [
            _row(
                name,
                self._state(reader.state.value, reader.reason),
                " ".join((str((reader.model_extra or {}).get("model", "")), reader.firmware)).strip(),
                "",
                reader.rounds,
                "" if reader.line_errors is None else reader.line_errors,
            )
            for name, reader in figures.readers.items()
        ]

    def _ports(self, figures: FiguresDocument) -> list[Html]:
        said = self._frame.words
        return [
            _row(
                name,
                number,
                said.say("devices.return") if port.place == "return" else port.place,
                said.say("devices.yes" if port.listening else "devices.no"),
                f"{port.blind_s:.1f}",
                "" if port.revisit_s is None else f"{port.revisit_s:.2f}",
            )
            for name, reader in figures.readers.items()
            for number, port in reader.ports.items()
        ]

    def _machines(self, figures: FiguresDocument) -> list[Html]:
        return [
            _row(
                name,
                self._state(machine.state.value, machine.reason),
                self._frame.words.say(f"level.{machine.level}"),
                "" if machine.stock is None else machine.stock,
                "" if machine.minutes_to_empty is None else round(machine.minutes_to_empty),
                ", ".join(machine.queue),
            )
            for name, machine in figures.dispensers.items()
        ]

    def _state(self, state: str, reason: str) -> Html:
        text = self._frame.words.say(f"device_state.{state}")
        return el("span", f"{text}: {reason}" if reason else text, class_="device", data_state=state)


def _row(name: str, *cells: Child) -> Html:
    return el("tr", el("th", name, scope="row"), *(el("td", "—" if cell == "" else cell) for cell in cells))
