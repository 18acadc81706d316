/** A file into a collection. */
import { useRef, useState } from "react";
import type { ImportResult } from "@covey/client";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { bytes, count } from "../lib/format.ts";
import { csvToLines } from "../lib/csv.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/field.tsx";
import { Bar, Note } from "../ui/parts.tsx";
import { upload } from "./upload.ts";
import { withQuery } from "@covey/client";

interface ImportDialogProps {
  space: string;
  collection: string;
  onClose: () => void;
}

/** A CSV file is read as a whole here; lines of JSON are streamed, whatever their size. */
const MOST_CSV_BYTES = 64 << 20;

async function bodyOf(file: File): Promise<Blob> {
  if (!/\.csv$/i.test(file.name)) return file;
  if (file.size > MOST_CSV_BYTES) throw new Error(`CSV files of more than ${bytes(MOST_CSV_BYTES)} are imported in a terminal: covey record import.`);
  return new Blob([csvToLines(await textOf(file))]);
}

/** A file of other letters than UTF-8 would come in with some of them lost. */
async function textOf(file: File): Promise<string> {
  const bytes = await file.arrayBuffer();
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Error("The file is not UTF-8. Save it as \"CSV UTF-8\", and choose it again.");
  }
}

export function ImportDialog({ space, collection, onClose }: ImportDialogProps) {
  const [file, setFile] = useState<File | null>(null);
  const [idField, setIdField] = useState("");
  const [progress, setProgress] = useState<{ done: number; total: number } | null>(null);
  const [result, setResult] = useState<ImportResult | null>(null);
  const [wrong, setWrong] = useState<string | null>(null);
  const stop = useRef<AbortController | null>(null);
  const run = async () => {
    if (!file) return;
    setWrong(null);
    stop.current = new AbortController();
    try {
      const body = await bodyOf(file);
      setProgress({ done: 0, total: body.size });
      const url = withQuery(api.importUrl(space, collection), { id_field: idField.trim() });
      setResult(await upload(url, body, (done) => setProgress({ done, total: body.size }), stop.current.signal));
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It could not be imported.");
    } finally {
      setProgress(null);
      await Promise.all([queries.invalidateQueries({ queryKey: ["records", space] }), queries.invalidateQueries({ queryKey: keys.collections(space) })]);
    }
  };
  const close = () => {
    stop.current?.abort();
    onClose();
  };
  return (
    <Dialog open onClose={close} title={`Import into ${collection}`}>
      {result ? (
        <>
          <Note tone="good">{count(result.records, "record")} came in, in {result.seconds < 1 ? `${Math.round(result.seconds * 1000)} ms` : `${result.seconds.toFixed(1)} s`}.</Note>
          <div><Button kind="main" onClick={onClose}>Done</Button></div>
        </>
      ) : (
        <>
          <p className="soft">A file with one JSON object on each line (NDJSON), or a CSV file with names in its first row, whose cells become numbers, true or false where they are written as such. Records that are there already get the file's fields.</p>
          <Field label="File" type="file" accept=".ndjson,.jsonl,.json,.csv,text/csv,application/x-ndjson" onChange={(event) => setFile(event.target.files?.[0] ?? null)} />
          <Field label="Field that holds the record's id" value={idField} onChange={(event) => setIdField(event.target.value)} placeholder="none: ids are made" hint="So that a second import changes the same records. In a file that was exported here it is id." />
          {wrong && <Note tone="bad">{wrong}</Note>}
          {progress && (
            <div className="stack tight">
              <Bar done={progress.done} total={progress.total} label="Import" />
              <span className="soft small num">{bytes(progress.done)} of {bytes(progress.total)}{progress.done === progress.total ? ", being written" : ""}</span>
            </div>
          )}
          <div className="row">
            <Button kind="main" busy={progress !== null} blocked={!file && "Choose a file first."} onClick={() => void run()}>Import</Button>
            {progress && <Button onClick={() => stop.current?.abort()}>Stop</Button>}
          </div>
        </>
      )}
    </Dialog>
  );
}
