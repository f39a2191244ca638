/**
 * The text of an HTML page as a person reads it: title, paragraphs, list items, links' words; nothing that is not shown. Pure, one pass,
 * linear in the page's length. It is no parser: markup that is broken gives text that is.
 */
const HIDDEN = new Set(["script", "style", "noscript", "template", "svg", "head", "iframe", "object", "select", "nav"]);
const BREAKS = new Set(
  "p div section article main header footer aside h1 h2 h3 h4 h5 h6 ul ol dl dt dd table tr br hr pre blockquote form figure".split(
    " ",
  ),
);
const ENTITIES: Record<string, string> = {
  ...{ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " ", mdash: "—", ndash: "–", hellip: "…" },
  ...{ lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", copy: "©", euro: "€", middot: "·", bull: "•" },
};

export function toReadable(html: string): { title: string; text: string } {
  const title = tidy(decode(/<title\b[^>]{0,200}>([^<]{0,1000})/i.exec(html)?.[1] ?? ""));
  let text = "";
  let at = 0;
  while (at < html.length) {
    const open = html.indexOf("<", at);
    const next = open === -1 ? html.length : open;
    text += html.slice(at, next);
    if (open === -1) break;
    const tag = readTag(html, open);
    if (tag === undefined) {
      text += "<"; // a sign, not a tag
      at = open + 1;
      continue;
    }
    if (tag.name === "li") text += tag.closes ? "" : "\n- ";
    else if (BREAKS.has(tag.name)) text += "\n";
    at = HIDDEN.has(tag.name) && !tag.closes ? endOf(html, tag) : tag.end;
  }
  return { title, text: tidy(decode(text)) };
}

interface Tag {
  name: string;
  closes: boolean;
  /** The place behind it. */
  end: number;
}

function readTag(html: string, at: number): Tag | undefined {
  if (html.startsWith("<!--", at)) {
    const end = html.indexOf("-->", at + 4);
    return { name: "!", closes: false, end: end === -1 ? html.length : end + 3 };
  }
  const [, slash = "", name = ""] = /^<(\/?)([a-z!?][a-z0-9]*)/i.exec(html.slice(at, at + 24)) ?? [];
  if (name === "") return undefined;
  const end = html.indexOf(">", at);
  return { name: name.toLowerCase(), closes: slash !== "", end: end === -1 ? html.length : end + 1 };
}

/** Behind the end of an element that is not shown; one that has no end is passed over to the page's. */
function endOf(html: string, { name, end }: Tag): number {
  for (let at = html.indexOf("</", end); at !== -1; at = html.indexOf("</", at + 2)) {
    if (html.slice(at + 2, at + 2 + name.length).toLowerCase() !== name) continue;
    const close = html.indexOf(">", at);
    return close === -1 ? html.length : close + 1;
  }
  return html.length;
}

function decode(text: string): string {
  return text.replaceAll(/&(#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});/gi, (whole: string, named: string) => {
    if (!named.startsWith("#")) return ENTITIES[named.toLowerCase()] ?? whole;
    const isHex = /^#x/i.test(named);
    const point = Number.parseInt(named.slice(isHex ? 2 : 1), isHex ? 16 : 10);
    return point > 0 && point <= 0x10ffff ? String.fromCodePoint(point).toWellFormed() : "\ufffd";
  });
}

/** One space for any, at most one empty line, none at the ends. */
function tidy(text: string): string {
  const lines = text.split("\n").map((line) => line.replaceAll(/\s+/g, " ").trim());
  const kept = lines.filter((line, at) => line !== "" || (lines[at - 1] ?? "") !== "");
  return kept.join("\n").trim();
}
