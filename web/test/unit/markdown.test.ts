import { describe, expect, test } from "vitest";
import { parseBlocks, parseInline, safeHref, type Inline } from "../../src/lib/markdown.ts";

const flat = (nodes: Inline[]): string => nodes.map((one) => ("of" in one ? `${one.kind}(${flat(one.of)})` : one.kind === "text" ? one.text : `${one.kind}(${one.text})`)).join("");
const inline = (text: string, names: string[] = []) => flat(parseInline(text, names));

describe("what is written in a message", () => {
  test("marks become emphasis, and words with marks in them stay words", () => {
    expect(inline("**a** and *b* and ~~c~~ and `d*e*`")).toBe("strong(a) and em(b) and del(c) and code(d*e*)");
    expect(inline("snake_case_name, 2 * 3 * 4, a ** b")).toBe("snake_case_name, 2 * 3 * 4, a ** b");
    expect(inline("**bold with *inner* word**")).toBe("strong(bold with em(inner) word)");
    expect(inline("*never closed, **nor this")).toBe("*never closed, **nor this");
  });

  test("mentions are names of people who are here, the longest that fits", () => {
    const names = ["Bob", "Bob Miller"];
    expect(inline("@Bob Miller and @bob, not @Bobby or me@Bob", names)).toBe("mention(@Bob Miller) and mention(@bob), not @Bobby or me@Bob");
  });

  test("a link whose name looks like another address shows where it leads", () => {
    const shown = (name: string, href = "https://evil.example/login") => inline(`[${name}](${href})`);
    const lies = [
      "https://bank.example", "bank.example", "www.bank.example/login", "HTTPS://BANK.EXAMPLE", "https:bank.example", "bank.example:443", "log in at bank.example.", "(bank.example)",
      "**bank**.example", "b\u200bank.example", "bank\u3002example", "bank\uff0eexample", "me@bank.example", "https://bank.example@evil.example.bank.example", "http://localhost", "192.168.0.1",
      "https://bank.example\\@evil.example", "evil.example.bank.example", "evil.example bank.example",
    ];
    for (const name of lies) expect(shown(name), name).toBe("link(https://evil.example/login)");
    for (const name of ["evil.example", "www.evil.example", "https://evil.example/other", "EVIL.EXAMPLE:8443", "the *plan*", "v1.2.3", "e.g. this", "3.50 each", "a: b", "and/or", "@ six"]) {
      expect(shown(name), name).not.toContain("/login");
    }
    expect(shown("bob@garden.example", "mailto:bob@garden.example")).toBe("link(bob@garden.example)");
    expect(shown("bob@bank.example", "mailto:bob@evil.example")).toBe("link(mailto:bob@evil.example)");
    expect(shown("d\u00e4ch.example", "https://xn--dch-qla.example/")).toBe("link(d\u00e4ch.example)");
  });

  test("links are made where they are meant", () => {
    expect(inline("see https://covey.example/a_b?c=(d). Or (https://x.example/y)")).toBe("see link(https://covey.example/a_b?c=(d)). Or (link(https://x.example/y))");
    expect(inline("[the *plan*](https://x.example)")).toBe("link(the em(plan))");
  });

  test("a link goes to the web or to a mailbox, and nowhere else", () => {
    for (const bad of ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:x", "//evil.example", "/api/v1/status", "java\tscript:alert(1)", "https://bank.example@evil.example/", "https://x.example/\u202egnp.exe"]) {
      expect(safeHref(bad), bad).toBeNull();
      expect(inline(`[x](${bad})`)).not.toContain("link(");
    }
    expect(safeHref(" https://x.example")).toBeNull();
    expect(safeHref("https://x.example/ok")).toBe("https://x.example/ok");
    expect(safeHref("mailto:ada@garden.example")).toBe("mailto:ada@garden.example");
  });

  test("blocks: quotes, lists, code", () => {
    const blocks = parseBlocks("hello\nthere\n\n> quoted\n> > twice\n\n- a\n- b\n1. c\n```ts\nlet x = '<b>'\n```\nend");
    expect(blocks.map((one) => one.kind)).toEqual(["paragraph", "quote", "list", "list", "code", "paragraph"]);
    expect(blocks[4]).toEqual({ kind: "code", language: "ts", text: "let x = '<b>'" });
  });

  test("a code block that is never closed reaches to the end", () => {
    expect(parseBlocks("```\na\nb")).toEqual([{ kind: "code", language: "", text: "a\nb" }]);
  });

  test("no text takes long, whatever is in it", () => {
    const nasty = ["*".repeat(60_000), "*a ".repeat(20_000), "**a*".repeat(15_000), "[".repeat(60_000), "[a](".repeat(15_000), "`".repeat(60_001), "@".repeat(60_000), "> ".repeat(30_000), "https://".repeat(7_000), "_a_".repeat(20_000), "(((".repeat(20_000), "~~x".repeat(20_000)];
    for (const text of nasty) {
      const began = performance.now();
      parseBlocks(text, ["Ada", "Bob", "Cleo"]);
      expect(performance.now() - began, text.slice(0, 12)).toBeLessThan(1500);
    }
  });
});
