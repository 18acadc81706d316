/** The records of a collection, filtered, a page at a time as one scrolls. */
import type { CoveyRecord } from "@covey/client";
import { Rows3 } from "lucide-react";
import { useEffect, useState } from "react";
import { useRecords } from "../api/queries.ts";
import { count } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Empty, Note, Wait } from "../ui/parts.tsx";
import { cellText, columnsOf } from "./columns.ts";
import { RecordDialog } from "./record.tsx";

/** Typing isn't finished before this pause. */
const PAUSE_MS = 300;

export function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

interface RecordsProps {
  space: string;
  collection: string;
  mayWrite: boolean;
  onNew: () => void;
}

export function Records({ space, collection, mayWrite, onNew }: RecordsProps) {
  const [filter, setFilter] = useState("");
  const where = useSettled(filter.trim());
  const records = useRecords(space, collection, where);
  const [open, setOpen] = useState<CoveyRecord | null>(null);
  const rows = records.data?.pages.flatMap((page) => page.items) ?? [];
  const columns = columnsOf(rows.slice(0, 100));
  return (
    <section className="stack" aria-label={collection}>
      <div className="field">
        <input className="input mono" type="search" aria-label="Filter" placeholder='Filter: bed >= 3 and name = "bean"' value={filter} spellCheck={false}
          aria-invalid={records.isError && where !== ""} onChange={(event) => setFilter(event.target.value)} />
      </div>
      {records.isError && <Note tone={where ? "look" : "bad"}>{records.error.message}</Note>}
      {records.isPending && <Wait text="Reading records" />}
      {records.data && rows.length === 0 && (
        where ? <Note tone="calm">No record fits this filter.</Note> : (
          <Empty icon={<Rows3 />} title={`Nothing in ${collection} yet`} act={mayWrite && <Button kind="main" onClick={onNew}>Write the first record</Button>}>
            Write a record here, or import a file with one on each line.
          </Empty>
        )
      )}
      {rows.length > 0 && (
        <div className="card table-wrap" tabIndex={0} role="region" aria-label="Table of records">
          <table className="table records">
            <thead><tr><th scope="col">id</th>{columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
            <tbody>
              {rows.map((record) => (
                <tr key={record.id} onClick={() => setOpen(record)}>
                  <td><button type="button" className="mono one-line" onClick={() => setOpen(record)}>{record.id}</button></td>
                  {columns.map((name) => <td key={name} dir="auto">{cellText(record.doc[name])}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rows.length > 0 && (
        <div className="row apart soft small">
          <span>{records.hasNextPage ? `The first ${rows.length} are shown.` : `${count(rows.length, "record")}.`}</span>
          {records.hasNextPage && <Button busy={records.isFetchingNextPage} onClick={() => void records.fetchNextPage()}>Show more</Button>}
        </div>
      )}
      {open && <RecordDialog space={space} collection={collection} record={open} mayWrite={mayWrite} onClose={() => setOpen(null)} />}
    </section>
  );
}
