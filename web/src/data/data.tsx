/** The collections of a space, and the records in one of them. */
import type { Collection } from "@covey/client";
import { Database, Download, Plus, Upload } from "lucide-react";
import { useState, type FormEvent } from "react";
import { Link, useLocation } from "wouter";
import { useCollections, useSpace, whyReadOnly } from "../api/queries.ts";
import { Page } from "../frame/page.tsx";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/field.tsx";
import { Empty, Note, Wait } from "../ui/parts.tsx";
import { ExportDialog } from "./export.tsx";
import { ImportDialog } from "./import.tsx";
import { RecordDialog } from "./record.tsx";
import { Records } from "./records.tsx";

type Open = "new-collection" | "new-record" | "import" | "export" | null;

interface DataProps {
  space: string;
  collection: string | undefined;
}

export default function Data({ space, collection: named }: DataProps) {
  const info = useSpace(space);
  const collections = useCollections(space);
  const [open, setOpen] = useState<Open>(null);
  const [, go] = useLocation();
  const collection = named ?? collections.data?.[0]?.name;
  const blocked = whyReadOnly(info);
  const mayWrite = info !== undefined && !blocked;
  const show = (name: string) => go(`/s/${space}/data/${encodeURIComponent(name)}`);
  const close = () => setOpen(null);
  return (
    <Page
      title="Data"
      lead="Records that all members keep together: lists, inventories, readings, whatever your programs write. Every field can be changed by several people at once."
      actions={
        <>
          <Button onClick={() => setOpen("import")} blocked={blocked || (!collection && "Make a collection first.")}><Upload size={16} aria-hidden />Import</Button>
          <Button onClick={() => setOpen("export")} blocked={!collection && "There is nothing to export yet."}><Download size={16} aria-hidden />Export</Button>
          {collection && <Button kind="main" onClick={() => setOpen("new-record")} blocked={blocked}><Plus size={16} aria-hidden />New record</Button>}
        </>
      }
    >
      {collections.isPending && <Wait text="Looking what is here" />}
      {collections.isError && <Note tone="bad">{collections.error.message}</Note>}
      {collections.data && !collection && (
        <Empty icon={<Database />} title="No records yet" act={<Button kind="main" onClick={() => setOpen("new-collection")} blocked={blocked}>Make a collection</Button>}>
          A collection holds records of one kind, like plants or invoices.
        </Empty>
      )}
      {collections.data && collection && (
        <div className="data">
          <nav aria-label="Collections">
            <ul className="collections">
              {withCurrent(collections.data, collection).map((one) => (
                <li key={one.name}>
                  <Link href={`/s/${space}/data/${encodeURIComponent(one.name)}`} className="room" aria-current={one.name === collection ? "page" : undefined}>
                    <span className="one-line" dir="auto">{one.name}</span><span className="count">{one.records}</span>
                  </Link>
                </li>
              ))}
              <li><Button kind="quiet" onClick={() => setOpen("new-collection")} blocked={blocked}><Plus size={15} aria-hidden />New collection</Button></li>
            </ul>
          </nav>
          <Records key={collection} space={space} collection={collection} mayWrite={mayWrite} onNew={() => setOpen("new-record")} />
        </div>
      )}
      {open === "new-collection" && <NewCollection onClose={close} onName={(name) => { close(); show(name); }} />}
      {open === "new-record" && collection && <RecordDialog space={space} collection={collection} record={null} mayWrite onClose={close} />}
      {open === "import" && collection && <ImportDialog space={space} collection={collection} onClose={close} />}
      {open === "export" && collection && <ExportDialog space={space} collection={collection} total={collections.data?.find((one) => one.name === collection)?.records ?? 0} onClose={close} />}
    </Page>
  );
}

/** The one that is being looked at stands in the list also before its first record. */
const withCurrent = (all: Collection[], name: string): Collection[] =>
  all.some((one) => one.name === name) ? all : [...all, { name, records: 0 }];

/** A collection is there once a record is in it; until then its page is empty. */
function NewCollection({ onClose, onName }: { onClose: () => void; onName: (name: string) => void }) {
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onName(name.trim());
  };
  return (
    <Dialog open onClose={onClose} title="New collection">
      <form className="stack" onSubmit={submit}>
        <Field label="Name" value={name} onChange={(event) => setName(event.target.value)} placeholder="plants" hint="It appears for the others with its first record." autoFocus />
        <div className="row"><Button type="submit" kind="main" blocked={!name.trim() && "It needs a name."}>Go on</Button></div>
      </form>
    </Dialog>
  );
}
