/** A collection into a file. */
import { lines, type CoveyRecord } from "@covey/client";
import { useRef, useState } from "react";
import { api } from "../api/client.ts";
import { toCsv } from "../lib/csv.ts";
import { download } from "../lib/download.ts";
import { count } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Choice } from "../ui/field.tsx";
import { Bar, Note } from "../ui/parts.tsx";

type Format = "ndjson" | "csv";

interface ExportDialogProps {
  space: string;
  collection: string;
  total: number;
  onClose: () => void;
}

/** How often the bar moves: each record would be too often. */
const TOLD_EVERY = 250;

export function ExportDialog({ space, collection, total, onClose }: ExportDialogProps) {
  const [format, setFormat] = useState<Format>("ndjson");
  const [done, setDone] = useState<number | null>(null);
  const [finished, setFinished] = useState<string | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const stop = useRef<AbortController | null>(null);
  const run = async () => {
    stop.current = new AbortController();
    setDone(0);
    setWrong(null);
    try {
      const records: CoveyRecord[] = [];
      for await (const record of lines<CoveyRecord>(await api.exportLines(space, collection, stop.current.signal))) {
        records.push(record);
        if (records.length % TOLD_EVERY === 0) setDone(records.length);
      }
      const name = `${collection}.${format}`;
      if (format === "csv") download(name, [toCsv(records)], "text/csv");
      else download(name, records.map((record) => `${JSON.stringify(record)}\n`), "application/x-ndjson");
      setFinished(`${count(records.length, "record")} ${records.length === 1 ? "is" : "are"} in ${name}.`);
    } catch (error) {
      // Half an export is never handed over as a whole one.
      setWrong(stop.current.signal.aborted ? "Stopped; no file was made." : error instanceof Error ? error.message : "It broke off; no file was made.");
    } finally {
      setDone(null);
    }
  };
  const close = () => {
    stop.current?.abort();
    onClose();
  };
  return (
    <Dialog open onClose={close} title={`Export ${collection}`}>
      <p className="soft">Everything in it, decrypted, into a file on this machine. NDJSON can be imported again as it is; CSV is for spreadsheets.</p>
      <Choice label="Format" value={format} onChange={setFormat} options={[{ value: "ndjson", label: "NDJSON" }, { value: "csv", label: "CSV" }]} />
      {done !== null && <><Bar done={done} total={total} label="Export" /><span className="soft small num">{done} of {total}</span></>}
      {finished && <Note tone="good">{finished}</Note>}
      {wrong && <Note tone="bad">{wrong}</Note>}
      <div className="row">
        <Button kind="main" busy={done !== null} onClick={() => void run()}>Save the file</Button>
        {done !== null && <Button onClick={() => stop.current?.abort()}>Stop</Button>}
      </div>
    </Dialog>
  );
}
