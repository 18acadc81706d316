/** A message's text on the page. Everything in it is text to React; there is no way for it to be anything else. */
import { memo, useMemo, type ReactNode } from "react";
import { parseBlocks, type Block, type Inline } from "../lib/markdown.ts";
import { Copy } from "../ui/parts.tsx";

export const Markup = memo(function Markup({ text, names }: { text: string; names: string[] }) {
  const blocks = useMemo(() => parseBlocks(text, names), [names, text]);
  if (isOnlyEmoji(text)) return <p className="big-emoji" dir="auto">{text}</p>;
  return <div className="markup">{blocks.map(block)}</div>;
});

const isOnlyEmoji = (text: string): boolean => text.length <= 24 && /^(?:\p{Extended_Pictographic}(?:\p{EMod}|\ufe0f|\u200d\p{Extended_Pictographic})*\s?){1,3}$/u.test(text.trim());

function block(one: Block, key: number): ReactNode {
  switch (one.kind) {
    case "paragraph":
      return <p key={key} dir="auto">{one.of.map(inline)}</p>;
    case "quote":
      return <blockquote key={key} dir="auto">{one.of.map(block)}</blockquote>;
    case "list": {
      const items = one.items.map((item, at) => <li key={at} dir="auto">{item.map(inline)}</li>);
      return one.ordered ? <ol key={key}>{items}</ol> : <ul key={key}>{items}</ul>;
    }
    case "code":
      return (
        <figure key={key} className="code-block">
          <figcaption><span className="tiny soft">{one.language || "code"}</span><Copy text={one.text} label="Copy" /></figcaption>
          <pre tabIndex={0}><code dir="ltr">{one.text}</code></pre>
        </figure>
      );
  }
}

function inline(one: Inline, key: number): ReactNode {
  switch (one.kind) {
    case "text":
      return one.text;
    case "strong":
      return <strong key={key}>{one.of.map(inline)}</strong>;
    case "em":
      return <em key={key}>{one.of.map(inline)}</em>;
    case "del":
      return <del key={key}>{one.of.map(inline)}</del>;
    case "code":
      return <code key={key} dir="ltr">{one.text}</code>;
    case "mention":
      return <span key={key} className="mention">{one.text}</span>;
    case "link":
      return <a key={key} href={one.href} target="_blank" rel="noopener noreferrer nofollow" title={one.href}>{one.of.map(inline)}</a>;
  }
}
