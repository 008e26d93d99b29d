"""The reception's page of the reference central server: the browser names its origin in every form."""

from pathlib import Path

from playwright.async_api import BrowserContext, expect

from tests.reference.central.conftest import Central


async def test_book_extend_and_end_at_the_desk(context: BrowserContext, tmp_path: Path) -> None:
    central = Central(tmp_path / "central.db")
    await central.start()
    try:
        page = await context.new_page()
        await page.goto(central.url)
        await page.locator("[name=bayNumber]").select_option("104")
        await page.get_by_label("Name").fill("Example Customer")
        await page.get_by_label("Phone number").fill("1555010002")
        await page.get_by_role("button", name="Book").click()
        await expect(page.get_by_role("status")).to_contain_text("Booked.")
        line = page.locator("#bay-104")
        await expect(line).to_contain_text("Example Customer")

        await central.verify("104", (await central.call("GET", "/session/1")).data["pin"])
        await expect(line).to_contain_text("plays")  # the page hears of it by itself
        await line.get_by_role("button", name="Extend", exact=True).click()
        await expect(page.get_by_role("status")).to_have_text("Extended.")
        await expect(line).to_contain_text("75 min left")

        await line.get_by_role("button", name="End session").click()
        await expect(page.get_by_role("status")).to_have_text("Ended.")
        await expect(line).not_to_contain_text("Example Customer")
        await page.close()
    finally:
        await central.stop()
