"""Everything that the files say, frozen, and what it means for each bay."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bayd.core.model import Mode
from bayd.core.rules import Rules, Timetable
from bayd.settings.central import Central
from bayd.settings.dispensers import Dispenser
from bayd.settings.log import Log
from bayd.settings.play import Balls, BaySettings, Play, lines_of, spans_of
from bayd.settings.qod import Qod
from bayd.settings.readers import Reader
from bayd.settings.screens import Screens
from bayd.settings.site import Http, Site, State
from bayd.settings.staff import Staff


class Settings(BaseSettings):
    """Everything, frozen. Made by `load`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="BAYD_", env_nested_delimiter="__", validate_default=True
    )

    site: Site = Site()
    http: Http = Http()
    state: State = State()
    screens: Screens = Screens()
    staff: Staff = Staff()
    central: Central = Central()
    qod: Qod | None = None
    readers: Mapping[str, Reader] = Field({}, description="By the reader's id at the central server.")
    dispensers: Mapping[str, Dispenser] = Field({}, description="By a name of the site's choice.")
    bays: Mapping[str, BaySettings] = Field({}, description="By the bay's number at the central server.")
    play: Play = Play()
    balls: Balls = Balls()
    log: Log = Log()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The files come in through the constructor; the environment outranks them.
        return env_settings, init_settings


@dataclass(frozen=True, slots=True)
class Configuration:
    settings: Settings
    time_scale: float  # 1 in production; more lets a booked minute pass faster

    registered_balls: frozenset[str] | None  # EPCs; None: there is no list of the range's balls
    registry_problem: str | None = None  # why the list that is configured cannot be used

    @property
    def minute_ms(self) -> int:
        return round(60_000 / self.time_scale)

    def dispenser(self, number: str) -> Dispenser | None:
        """That of one bay."""
        name = self.settings.bays[number].dispenser
        return None if name is None else self.settings.dispensers[name]

    def _timetable(self, number: str) -> Timetable:
        play = self.settings.play
        mode = self.settings.bays[number].mode or play.mode
        return Timetable(
            mode=None if mode == "schedule" else Mode(mode),
            schedule=tuple(line for text in play.schedule for line in lines_of(text)),
            opening=tuple(span for hours in play.opening_hours for span in spans_of(hours)),
            closed_days=frozenset(day.toordinal() for day in play.closed_days),
        )

    def rules(self, number: str) -> Rules:
        """The rules of one bay."""
        play, machine = self.settings.play, self.dispenser(number)
        return Rules(
            minute_ms=self.minute_ms,
            dispenser=self.settings.bays[number].dispenser,
            dispenser_step=1 if machine is None else machine.step,
            dispenser_capacity=None if machine is None else machine.capacity_balls,
            central_level={str(level): at for level, at in self.settings.balls.central_level.items()},
            dispense_max_balls=play.dispense_max_balls,
            dispense_choices=play.dispense_choices,
            step_policy=play.dispense_step,
            cap_balls=play.dispense_cap_balls,
            cap_minutes=play.dispense_cap_minutes,
            unknown_balls=play.unknown_balls,
            dispenser_fault=play.dispenser_fault,
            reader=self.settings.bays[number].rfid,
            reads_balls=self.settings.bays[number].rfid and self.registered_balls is not None,
            variance_balls=play.variance_balls,
            variance_percent=play.variance_percent,
            variance_grant=play.variance_grant,
            intent_ttl_ms=round(self.settings.state.commit_timeout_s * 1000),
            warn_minutes=play.warn_minutes,
            grace_minutes=play.grace_minutes,
            next_pin_minutes=play.next_pin_minutes,
            pin_tries=play.pin_tries,
            pin_lock_minutes=play.pin_lock_minutes,
            pin_lock_max_minutes=play.pin_lock_max_minutes,
            booking_horizon_minutes=play.booking_horizon_minutes,
            timetable=self._timetable(number),
            hold_minutes=play.hold_minutes,
            no_show=play.no_show,
            pause_max_minutes=play.pause_max_minutes,
            long_pause=play.long_pause,
            guest_pauses=play.guest_pauses if play.guest_pause == "allowed" else 0,
            guest_pause_minutes=play.guest_pause_minutes,
            games=play.games,
            extension=play.extension,
            extension_minutes=play.extension_minutes,
            extension_price=play.extension_price,
            recount_after_ms=play.recount_after_s * 1000,
            downtime=play.downtime,
            max_credit_ms=play.max_credit_s * 1000,
            walk_ins=self.settings.central.walk_in is not None,
        )
