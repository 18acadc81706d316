/** One record as JSON: read, written, deleted; and on which devices it is. */
import type { CoveyRecord } from "@covey/client";
import { Trash2 } from "lucide-react";
import { useState } from "react";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useRecordSync } from "../api/queries.ts";
import { names } from "../lib/format.ts";
import { useKept } from "../lib/kept.ts";
import { Button } from "../ui/button.tsx";
import { Confirm, Dialog } from "../ui/dialog.tsx";
import { Field } from "../ui/field.tsx";
import { Note, Pill } from "../ui/parts.tsx";
import { toast } from "../ui/toast.tsx";
import { changedFields, parseDocument } from "./columns.ts";

interface RecordDialogProps {
  space: string;
  collection: string;
  /** Null for a new one. */
  record: CoveyRecord | null;
  mayWrite: boolean;
  onClose: () => void;
}

export function RecordDialog({ space, collection, record, mayWrite, onClose }: RecordDialogProps) {
  const [id, setId] = useState("");
  const kept = useKept(`record.${space}.${collection}.${record?.id ?? ""}`, JSON.stringify(record?.doc ?? { name: "" }, null, 2));
  const { text } = kept;
  const [wrong, setWrong] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const parsed = parseDocument(text);
  const edit = "doc" in parsed && record ? changedFields(record.doc, parsed.doc) : null;
  const unchanged = edit !== null && Object.keys(edit.changed).length === 0;
  const refresh = () => Promise.all([queries.invalidateQueries({ queryKey: ["records", space] }), queries.invalidateQueries({ queryKey: keys.collections(space) })]);
  const save = async () => {
    if (!("doc" in parsed)) return;
    setBusy(true);
    try {
      await api.putRecord(space, collection, record?.id ?? (id.trim() || undefined), edit?.changed ?? parsed.doc);
      kept.drop();
      await refresh();
      onClose();
    } catch (error) {
      setWrong(error instanceof Error ? error.message : "It could not be saved.");
    } finally {
      setBusy(false);
    }
  };
  const remove = async () => {
    if (!record) return;
    await api.deleteRecord(space, collection, record.id);
    kept.drop();
    await refresh();
    toast("The record is deleted.");
    onClose();
  };
  return (
    <Dialog open onClose={onClose} title={record ? `${collection} / ${record.id}` : `New record in ${collection}`} wide>
      {record ? <SyncLine space={space} collection={collection} id={record.id} /> : <Field label="Id" value={id} onChange={(event) => setId(event.target.value)} placeholder="made by itself" hint="Leave it empty unless the record has a name of its own." />}
      <div className="field">
        <label htmlFor="record-json">Document, as JSON</label>
        <textarea id="record-json" className="input editor" value={text} readOnly={!mayWrite} spellCheck={false} aria-invalid={"wrong" in parsed} aria-describedby="record-wrong"
          onChange={(event) => kept.set(event.target.value)} />
        <p id="record-wrong" className="wrong" role="alert">{"wrong" in parsed ? parsed.wrong : wrong}</p>
      </div>
      {kept.found && (
        <Note tone="calm">
          This is what you had begun to write here. The record may have changed since. <button type="button" className="link" onClick={kept.reset}>Begin anew</button>
        </Note>
      )}
      {edit && edit.left.length > 0 && <Note tone="look">{names(edit.left)} {edit.left.length === 1 ? "stays" : "stay"} as before: fields are merged. Set a field to <code>null</code> to empty it.</Note>}
      {mayWrite && (
        <div className="row apart">
          <Button kind="main" busy={busy} blocked={("wrong" in parsed && "Mend the JSON first.") || (unchanged && "Nothing is changed yet.")} onClick={() => void save()}>Save</Button>
          {record && <Button kind="danger" onClick={() => setDeleting(true)}><Trash2 size={16} aria-hidden />Delete</Button>}
        </div>
      )}
      <Confirm open={deleting} onClose={() => setDeleting(false)} title="Delete this record?" act="Delete" onConfirm={remove}>
        <p>It is deleted for everybody in the space.</p>
      </Confirm>
    </Dialog>
  );
}

function SyncLine({ space, collection, id }: { space: string; collection: string; id: string }) {
  const { data } = useRecordSync(space, collection, id);
  if (!data) return <span className="small">&nbsp;</span>;
  const named = (devices: { name: string | null }[]) => names(devices.map((device) => device.name ?? "a device"));
  if (data.missing.length === 0 && data.synced_to.length === 0) return <div><Pill tone="calm">on this device only</Pill></div>;
  return (
    <div className="row wrap">
      <Pill tone={data.pending ? "calm" : "good"}>{data.pending ? "on no other device yet" : `on ${named(data.synced_to)} too`}</Pill>
      {data.missing.length > 0 && !data.pending && <Pill tone="calm">not yet on {named(data.missing)}</Pill>}
    </div>
  );
}
