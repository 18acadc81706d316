/** Every act on who is in a space, newest first: each is a signed entry that all members hold; and what became of codes here. */
import type { Act, Person } from "@covey/client";
import { Download } from "lucide-react";
import { useState } from "react";
import { useAudit, useSpace } from "../api/queries.ts";
import { Page } from "../frame/page.tsx";
import { download } from "../lib/download.ts";
import { inFull } from "../lib/format.ts";
import { shortId } from "../lib/identity.ts";
import { Button } from "../ui/button.tsx";
import { Note, Wait } from "../ui/parts.tsx";

const SHOWN_AT_FIRST = 200;

const nameOf = (person: Person): string => person.user ?? person.device ?? (person.user_id ? shortId(person.user_id) : "somebody");

export default function Audit({ space: id }: { space: string }) {
  const space = useSpace(id);
  const audit = useAudit(id);
  const [words, setWords] = useState("");
  const [most, setMost] = useState(SHOWN_AT_FIRST);
  const wanted = words.trim().toLocaleLowerCase();
  const acts = (audit.data ?? []).filter((act) => `${nameOf(act.who)} ${act.text}`.toLocaleLowerCase().includes(wanted)).reverse();
  const save = () => download(`${space?.name ?? "space"}-audit.ndjson`, (audit.data ?? []).map((act) => `${JSON.stringify(act)}\n`), "application/x-ndjson");
  return (
    <Page
      title="Audit log"
      lead={`What happened in ${space?.name ?? "this space"}: who let whom in, and every change of roles, devices and keys. Each of these is a signed entry that all members hold, so nobody has to be taken at their word. What became of codes is what this node saw itself.`}
      actions={<Button onClick={save} blocked={!audit.data && "It is still being loaded."}><Download size={16} aria-hidden />Save as NDJSON</Button>}
    >
      <input className="input" type="search" aria-label="Filter by name or words" placeholder="Filter by name or words" value={words} onChange={(event) => setWords(event.target.value)} />
      {audit.isPending && <Wait text="Reading the log" />}
      {audit.isError && <Note tone="bad">{audit.error.message}</Note>}
      {audit.data && acts.length === 0 && <Note tone="calm">Nothing that happened here has these words in it.</Note>}
      {acts.length > 0 && (
        <ol className="card" aria-label="Acts">
          {acts.slice(0, most).map((act) => <Line key={`${act.hash ?? "here"}-${act.part}`} act={act} />)}
        </ol>
      )}
      {acts.length > most && <Button onClick={() => setMost(most + SHOWN_AT_FIRST)}>Show more</Button>}
    </Page>
  );
}

function Line({ act }: { act: Act }) {
  return (
    <li className={`act ${act.stands ? "" : "fell"}`}>
      <time className="soft num" dateTime={act.at} title={act.hlc}>{inFull(act.at)}</time>
      <div>
        <details>
          <summary><b><bdi>{nameOf(act.who)}</bdi></b> <bdi className="what">{act.text}</bdi>{!act.stands && " (has no effect: it fell because of what others did at the same moment)"}</summary>
          <dl className="facts" style={{ padding: "8px 0" }}>
            <div><dt>On</dt><dd>{act.who.device ?? "an unknown device"}</dd></div>
            {act.hash === null ? <div><dt>Entry</dt><dd>None: this node noted it.</dd></div> : (
              <>
                <div><dt>Entry</dt><dd><code>{act.hash}</code></dd></div>
                <div><dt>Log</dt><dd><code>{act.log} #{act.seq}</code></dd></div>
              </>
            )}
          </dl>
        </details>
      </div>
    </li>
  );
}
