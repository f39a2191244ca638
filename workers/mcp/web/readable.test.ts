import fc from "fast-check";
import { expect, test } from "vitest";
import { toReadable } from "./readable.ts";

test("[MCP-11] a page is read as it is shown", () => {
  const html = `<!DOCTYPE html><HTML><head><title> A &amp; B </title><style>p{}</style></head><body><!-- <p>hidden</p> -->
    <nav>Menu</nav><h1>Head&shy;ing</h1><p>One   <b>bold</b><br>two</p><SCRIPT>if (1 < 2) x("</p>")</SCRIPT>
    <ul><li>a<li>b</ul><p>2 < 3 &lt;b&gt; &#169; &#x1F600; &nope; &#0;</p></body></html>`;
  expect(toReadable(html)).toEqual({
    title: "A & B",
    text: "Head&shy;ing\n\nOne bold\ntwo\n\n- a\n- b\n\n2 < 3 <b> © \u{1F600} &nope; \ufffd",
  });
});

test.each(["<", "<p", "<!--", "<script>never ends", "</", "&#", "<title>", ""])(
  "[MCP-11] broken markup like %j gives some text",
  (html) => {
    expect(typeof toReadable(`words ${html}`).text).toBe("string");
  },
);

test("[MCP-11] no text makes it throw, and it never gives a tag of a script", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (text) => void toReadable(`<p>${text}</p>`)));
  expect(toReadable(`<p>a</p><script>${"<x ".repeat(50_000)}</script><p>b</p>`).text).toBe("a\n\nb");
});
