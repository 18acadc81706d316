/** A QR code as one SVG path, black on white in every theme: cameras need it so. */
import { useMemo } from "react";
import { encode } from "uqr";

export default function Qr({ text }: { text: string }) {
  const { size, d } = useMemo(() => {
    const { data, size } = encode(text, { border: 0 });
    const cells = data.flatMap((line, y) => line.flatMap((on, x) => (on ? [`M${x} ${y}h1v1h-1z`] : [])));
    return { size, d: cells.join("") };
  }, [text]);
  return (
    <svg className="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label="QR code of the link" shapeRendering="crispEdges">
      <path d={d} fill="#000" />
    </svg>
  );
}
