/** Who is near, by which way, and whether they have everything; if not, why. */
import type { Peer, Space, Status } from "@covey/client";
import { ArrowDown, ArrowUp, Stethoscope } from "lucide-react";
import { useState } from "react";
import { healthOf } from "../api/health.ts";
import { useLine } from "../api/live.ts";
import { useDoctor, useStatus } from "../api/queries.ts";
import { Page } from "../frame/page.tsx";
import { count, duration, rtt, sentence } from "../lib/format.ts";
import { shortId } from "../lib/identity.ts";
import { Button } from "../ui/button.tsx";
import { Copy, DeviceMark, Note, Pill, Wait } from "../ui/parts.tsx";
import { Picture } from "./picture.tsx";
import { standingWith } from "./why.ts";

const MODES = {
  solo: "No network: this node was started on its own. Nothing goes in or out.",
  lan: "Local network: devices on the same network find each other.",
  wan: "Beyond the local network too, by the addresses it was given.",
};

export default function Network() {
  const status = useStatus();
  const line = useLine();
  const health = healthOf(status.data, line, status.isError);
  return (
    <Page title="Network" lead={health.why} actions={<Pill tone={health.tone}>{health.word}</Pill>}>
      {status.isPending && <Wait text="Asking the node" />}
      {status.data && <Known status={status.data} />}
    </Page>
  );
}

function Known({ status }: { status: Status }) {
  return (
    <>
      {status.peers.length > 0 ? (
        <div className="card pad"><Picture you={status.node.device} peers={status.peers} /></div>
      ) : (
        <Note tone="calm">{status.network.mode === "solo" ? MODES.solo : "No other device has been seen yet. On the same network they are found by themselves, within a second or two."}</Note>
      )}
      {status.peers.length > 0 && <Peers peers={status.peers} spaces={status.spaces} />}
      <ThisNode status={status} />
      <Doctor />
    </>
  );
}

type Column = "name" | "state" | "rtt";
const ORDER: Record<Peer["state"], number> = { connected: 0, reachable: 1, offline: 2 };
const COMPARE: Record<Column, (a: Peer, b: Peer) => number> = {
  name: (a, b) => (a.name ?? "\uffff").localeCompare(b.name ?? "\uffff"),
  state: (a, b) => ORDER[a.state] - ORDER[b.state],
  rtt: (a, b) => (a.rtt_ms ?? 1e9) - (b.rtt_ms ?? 1e9),
};

function Peers({ peers, spaces }: { peers: Peer[]; spaces: Space[] }) {
  const [sort, setSort] = useState<{ by: Column; down: boolean }>({ by: "state", down: false });
  const sorted = [...peers].sort((a, b) => COMPARE[sort.by](a, b) * (sort.down ? -1 : 1) || COMPARE.name(a, b));
  const head = (by: Column, text: string, className = "") => (
    <th className={className} aria-sort={sort.by === by ? (sort.down ? "descending" : "ascending") : "none"} scope="col">
      <button type="button" onClick={() => setSort({ by, down: sort.by === by && !sort.down })}>
        {text}{sort.by === by && (sort.down ? <ArrowDown size={13} aria-hidden /> : <ArrowUp size={13} aria-hidden />)}
      </button>
    </th>
  );
  return (
    <section className="section" aria-label="Devices">
      <h2>Devices</h2>
      <div className="card table-wrap" tabIndex={0} role="region" aria-label="Table of devices">
        <table className="table peers">
          <thead><tr>{head("name", "Device")}{head("state", "State")}<th scope="col">Path</th>{head("rtt", "Round trip", "right")}<th scope="col">Data</th></tr></thead>
          <tbody>{sorted.map((peer) => <Row key={peer.peer_id} peer={peer} spaces={spaces} />)}</tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ peer, spaces }: { peer: Peer; spaces: Space[] }) {
  const standing = standingWith(peer, spaces);
  return (
    <tr>
      <td>
        <div className="row">
          <DeviceMark name={peer.name ?? ""} size={32} />
          <div><div dir="auto">{peer.name ?? "A stranger"}</div><div className="soft tiny" dir="auto">{peer.user ?? shortId(peer.peer_id)}</div></div>
        </div>
      </td>
      <td data-label="State"><Pill tone={peer.state === "connected" ? "good" : "calm"}>{peer.state === "offline" ? "away" : peer.state}</Pill></td>
      <td data-label="Path" title={peer.address ?? undefined}>{peer.path ? <>{peer.path}<div className="soft tiny">{peer.transport === "quic" ? "QUIC" : peer.transport === "tcp" ? "TCP" : ""}</div></> : <span className="soft">none now</span>}</td>
      <td data-label="Round trip" className="right">{peer.rtt_ms === null ? <span className="soft">not measured</span> : rtt(peer.rtt_ms)}</td>
      <td data-label="Data">
        <Pill tone={standing.tone}>{standing.word}</Pill>
        {standing.reasons.map((reason) => <p key={reason} className="soft tiny" style={{ marginTop: 4 }}>{reason}</p>)}
      </td>
    </tr>
  );
}

function ThisNode({ status }: { status: Status }) {
  return (
    <section className="section" aria-label="This node">
      <h2>This node</h2>
      <div className="card pad">
        <dl className="facts">
          <div><dt>Mode</dt><dd>{MODES[status.network.mode]}</dd></div>
          <div><dt>Running for</dt><dd>{duration(status.node.uptime_s)}</dd></div>
          <div><dt>Listens on</dt><dd>{status.network.listen.length === 0 ? "nothing" : <details><summary>{count(status.network.listen.length, "address", "addresses")}</summary><ul className="mono tiny">{status.network.listen.map((at) => <li key={at}>{at}</li>)}</ul></details>}</dd></div>
          <div><dt>Device id</dt><dd><code>{status.node.peer_id}</code></dd></div>
        </dl>
      </div>
    </section>
  );
}

/** What may be wrong with this machine, asked for when wanted: it looks at the disk and the whole store. */
function Doctor() {
  const [wanted, setWanted] = useState(false);
  return (
    <section className="section" aria-label="Check-up">
      <h2>Check-up</h2>
      {wanted ? <Checks /> : <div><Button onClick={() => setWanted(true)}><Stethoscope size={16} aria-hidden />Look for what may be wrong</Button></div>}
    </section>
  );
}

function Checks() {
  const doctor = useDoctor();
  if (doctor.isPending) return <Wait text="Looking at everything" />;
  if (doctor.isError) return <Note tone="bad">{doctor.error.message}</Note>;
  const { checks, ok } = doctor.data;
  return (
    <div className="stack">
      <Note tone={ok ? "good" : "look"}>{ok ? "All is well." : `${count(checks.filter((check) => !check.ok).length, "thing needs", "things need")} a look.`}</Note>
      <ul className="card list">
        {[...checks].sort((a, b) => Number(a.ok) - Number(b.ok)).map((check) => (
          <li key={check.name + check.detail} className="row wrap apart">
            <span className="grow"><b>{check.name}</b> <span className="soft small">{sentence(check.detail)}</span>{check.remedy && <span className="row wrap small">{sentence(check.remedy)} <Copy text={check.remedy} label="Copy" /></span>}</span>
            <Pill tone={check.ok ? "good" : "look"}>{check.ok ? "well" : "look"}</Pill>
          </li>
        ))}
      </ul>
    </div>
  );
}
