// Texts from a catalogue, in the language that is chosen now.

/** All catalogues at once: a switch of language must not wait for the network. */
export async function loadWords(addresses, language) {
  const catalogues = {};
  await Promise.all(
    Object.entries(addresses).map(async ([code, address]) => {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`${address}: ${response.status}`);
      catalogues[code] = await response.json();
    }),
  );
  return new Words(catalogues, language);
}

export class Words {
  constructor(catalogues, language) {
    this.catalogues = catalogues;
    this.use(language);
  }

  use(language) {
    this.language = language in this.catalogues ? language : Object.keys(this.catalogues)[0];
    this.texts = this.catalogues[this.language];
    this.plural = new Intl.PluralRules(this.language);
    // Latin digits in both languages: they stand on the balls, the slip and the price list.
    this.numbers = new Intl.NumberFormat(`${this.language}-IN-u-nu-latn`);
  }

  get languages() {
    return Object.keys(this.catalogues);
  }

  /** The language's own name. */
  nameOf(language) {
    return this.catalogues[language]["language.name"];
  }

  has(key) {
    return key in this.texts;
  }

  /** `{name}` in a text is replaced. With `count` there are two texts, `KEY.one` and `KEY.other`. */
  say(key, values = {}) {
    const form = "count" in values ? `${key}.${this.plural.select(values.count) === "one" ? "one" : "other"}` : key;
    const text = this.texts[form];
    if (text === undefined) throw new Error(`no text ${form} in ${this.language}`);
    return text.replace(/\{(\w+)\}/g, (_, name) => {
      const value = values[name];
      return typeof value === "number" ? this.numbers.format(value) : String(value);
    });
  }

  /** `text`, the daemon's own words, and what they name stand where the catalogue wants them. */
  warning({ code, text, facts }) {
    return this.has(`warning.${code}`) ? this.say(`warning.${code}`, { ...facts, text }) : text;
  }

  /** Why the daemon refused, by its stable code. */
  refusal(code) {
    return this.say(this.has(`refusal.${code}`) ? `refusal.${code}` : "refusal.other");
  }

  /** The time of day as it is said: "6:13 pm", "शाम 6:13"; with `options` of Intl, of a day. */
  time(text, options) {
    const dayPeriod = this.language === "en" ? undefined : "short"; // "am" and "pm" are English alone
    const format = new Intl.DateTimeFormat(`${this.language}-IN-u-nu-latn`, { hour: "numeric", minute: "2-digit", hour12: true, dayPeriod, ...options });
    return format.format(new Date(text));
  }

  /** An amount in the server's unit, which is taken to be the currency's main one. */
  price(amount, currency) {
    if (!currency) return this.numbers.format(amount);
    try {
      const format = new Intl.NumberFormat(`${this.language}-IN-u-nu-latn`, {
        style: "currency", currency, maximumFractionDigits: 0,
      });
      return format.format(amount);
    } catch {
      return `${this.numbers.format(amount)} ${currency}`;
    }
  }
}
