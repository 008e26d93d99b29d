"""Every state of the pages of staff, in every language, as those of a bay's screen in `test_states`."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from playwright.async_api import BrowserContext

from bayd.settings.screens import Language
from tests.browser.board_states import BOARD_STATES
from tests.browser.look import ends_of, groups_of, look_at_all
from tests.browser.states import State

pytestmark = pytest.mark.timeout(240)  # much is looked at in one test


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("states", groups_of(BOARD_STATES), ids=ends_of)
async def test_everything_is_there_and_can_be_read(
    tmp_path: Path, context: BrowserContext, states: Sequence[State], language: Language
) -> None:
    assert await look_at_all(tmp_path, context, states, language) == {}
