// What the devices do now, asked for every two seconds; three minutes of it as small plots.

import { signInAgain } from "../board/head.js";
import { get } from "../lib/calls.js";
import { h, icon, rebuild, setText, show } from "../lib/dom.js";
import uPlot from "../lib/uplot.js";
import { loadWords } from "../lib/words.js";

const EVERY_MS = 2_000;
const KEPT = 90;
const ICONS = { ok: "check", lost: "offline", fault: "warning", unknown: "clock" };
const page = document.documentElement.dataset;

class Plot {
  constructor(name) {
    this.place = document.getElementById(`plot-${name}`);
    this.now = document.getElementById(`plot-${name}-now`);
    this.data = [[], []];
    const colour = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: '12px "Noto Sans"' };
    this.plot = new uPlot({
      ...this.size, legend: { show: false }, cursor: { show: false }, scales: { x: { time: false, range: [-KEPT * EVERY_MS / 1000, 0] }, y: { range: (_plot, _low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [{ ...axis, size: 26, values: (_plot, ticks) => ticks.map((tick) => `${tick} s`) }, { ...axis, size: 44 }],
      series: [{}, { stroke: colour("--accent"), width: 2, fill: colour("--accent-ground"), points: { show: false } }],
    }, this.data, this.place);
    new ResizeObserver(() => this.plot.setSize(this.size)).observe(this.place);
  }

  get size() {
    return { width: Math.max(200, this.place.clientWidth), height: 160 };
  }

  add(at, value, text) {
    const points = [...(this.points ?? []), [at, value]].slice(-KEPT);
    this.points = points;
    this.plot.setData([points.map(([x]) => Math.round(x - at)), points.map(([, y]) => y)]);
    setText(this.now, text);
  }
}

class Devices {
  constructor(words) {
    this.words = words;
    this.band = document.getElementById("band");
    this.band.append(h("div.band", { role: "alert", hidden: true, "data-testid": "stale" },
      icon("offline"), h("p", {}, h("strong", {}, words.say("stale.title")), " ", words.say("stale.text"))));
    this.plots = Object.fromEntries(["reads", "blind_rate", "line_errors", "journal", "commit", "outbox"].map((name) => [name, new Plot(name)]));
    this.before = null;
  }

  async run() {
    const answer = await get("/api/v1/devices/figures");
    if (answer.status === 401) signInAgain();
    show(this.band.firstChild, !answer.ok);
    if (answer.ok) this.draw(answer.document);
    setTimeout(() => this.run(), EVERY_MS);
  }

  draw(figures) {
    const { words, before } = this;
    const passed = before === null ? 0 : figures.at_s - before.at_s;
    const rates = {};
    for (const [name, reader] of Object.entries(figures.readers)) {
      const last = before?.readers[name];
      rates[name] = last && passed > 0 ? Math.max(0, reader.reads - last.reads) / passed : null;
    }
    this.before = figures;
    this.fill("readers", Object.entries(figures.readers).map(([name, reader]) => [
      name, this.state(reader), `${reader.model ?? ""} ${reader.firmware}`.trim(), rates[name] === null ? "" : rates[name].toFixed(1),
      reader.rounds, reader.line_errors ?? ""]));
    this.fill("ports", Object.entries(figures.readers).flatMap(([name, reader]) => Object.entries(reader.ports).map(([number, port]) => [
      name, number, port.place === "return" ? words.say("devices.return") : port.place, words.say(port.listening ? "devices.yes" : "devices.no"), port.blind_s.toFixed(1), port.revisit_s === null ? "" : port.revisit_s.toFixed(2)])));
    this.fill("dispensers", Object.entries(figures.dispensers).map(([name, machine]) => [
      name, this.state(machine), words.say(`level.${machine.level}`), machine.stock ?? "",
      machine.minutes_to_empty === null ? "" : Math.round(machine.minutes_to_empty), machine.queue.join(", ")]));
    const known = Object.values(rates).filter((rate) => rate !== null);
    if (known.length > 0) {
      const sum = known.reduce((one, other) => one + other, 0);
      this.plots.reads.add(figures.at_s, sum, `${sum.toFixed(1)}, ${words.say("devices.last")}`);
    }
    this.drawTroubles(figures, before, passed);
    const { median_ms: median, worst_ms: worst, waiting } = figures.commits;
    this.plots.journal.add(figures.at_s, waiting, words.say("devices.journal_now", { count: waiting }));
    if (median !== null) {
      this.plots.commit.add(figures.at_s, median, words.say("devices.commit_now", { median: median.toFixed(1), worst: worst.toFixed(1) }));
    }
    this.plots.outbox.add(figures.at_s, figures.outbox, words.say("devices.outbox_now", { count: figures.outbox }));
  }

  /** How many antennas were blind, on the average, since the last look; broken frames since then. */
  drawTroubles({ at_s: at, readers }, before, passed) {
    const { words } = this;
    const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);
    const blind = (all) => sum(Object.values(all).flatMap(({ ports }) => Object.values(ports).map((port) => port.blind_s)));
    const errors = (all) => sum(Object.values(all).map((reader) => reader.line_errors ?? 0));
    if (passed <= 0) return;
    const now = Math.max(0, blind(readers) - blind(before.readers)) / passed;
    this.plots.blind_rate.add(at, now, words.say("devices.blind_now", { count: Math.round(now), seconds: blind(readers).toFixed(1) }));
    this.plots.line_errors.add(at, Math.max(0, errors(readers) - errors(before.readers)), words.say("devices.errors_now", { total: errors(readers) }));
  }

  state({ state, reason }) {
    const text = this.words.say(`device_state.${state}`);
    return h("span.device", { "data-state": state }, icon(ICONS[state]), reason ? `${text}: ${reason}` : text);
  }

  fill(id, rows) {
    const body = document.getElementById(id);
    if (rows.length === 0) return;
    const key = rows.map((row) => row.map((cell) => cell instanceof Element ? cell.textContent : cell));
    rebuild(body, key, () => rows.map(([name, ...cells]) =>
      h("tr", { "data-testid": `${id}-${name}` }, h("th", { scope: "row" }, name), ...cells.map((cell) => h("td", {}, cell instanceof Element ? cell : cell === "" ? "—" : String(cell))))));
  }
}

async function begin() {
  await document.fonts.ready;
  new Devices(await loadWords(JSON.parse(page.catalogues), page.language)).run();
}

begin();
