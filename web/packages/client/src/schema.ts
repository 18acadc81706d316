/**
 * The shapes of the API, in the form that `openapi-typescript` gives them (`components["schemas"]`), so that its output can
 * take this file's place once the node serves an OpenAPI document. Nothing else in the package describes a shape.
 */
export interface components {
  schemas: {
    Identity: { user: string; device: string; peer_id: string; fingerprint: string; user_id: string };
    Node: components["schemas"]["Identity"] & { version: string; uptime_s: number };
    Network: { mode: "solo" | "lan" | "wan"; listen: string[] };
    Peer: {
      peer_id: string;
      name: string | null;
      user: string | null;
      state: "connected" | "reachable" | "offline";
      path: "direct" | "relayed" | null;
      transport: "quic" | "tcp" | null;
      rtt_ms: number | null;
      address: string | null;
    };
    Sync: {
      peer_id: string;
      state: "in_sync" | "syncing" | "behind" | "unreachable" | "refused";
      missing_here: number;
      missing_there: number;
      reason: string | null;
    };
    SpaceName: { id: string; name: string };
    Role: "guest" | "member" | "admin" | "owner";
    Removal: { by: string | null; own: boolean; at: string };
    Fork: { peer_id: string; name: string | null; log: string; seq: number };
    Clock: { peer_id: string; name: string | null; ahead_ms: number; held: number };
    Space: {
      id: string;
      name: string;
      parent?: components["schemas"]["SpaceName"];
      role: components["schemas"]["Role"] | null;
      members: number;
      entries: number;
      records: number;
      pending: number;
      sync: components["schemas"]["Sync"][];
      personal?: boolean;
      removed: components["schemas"]["Removal"] | null;
      forks?: components["schemas"]["Fork"][];
    };
    OwnDevice: {
      peer_id: string;
      name: string;
      this: boolean;
      fingerprint: string;
      state: components["schemas"]["DeviceState"];
      last_seen: string | null;
    };
    DeviceState: "here" | "connected" | "reachable" | "offline";
    Status: {
      node: components["schemas"]["Node"];
      network: components["schemas"]["Network"];
      peers: components["schemas"]["Peer"][];
      spaces: components["schemas"]["Space"][];
      devices: components["schemas"]["OwnDevice"][];
      revoked: boolean;
      clocks: components["schemas"]["Clock"][];
    };
    Check: { name: string; ok: boolean; detail: string; remedy: string | null };
    Doctor: { ok: boolean; checks: components["schemas"]["Check"][] };
    Invite: { code: string; link: string; expires_at: string; role: string };
    Joined: { space: components["schemas"]["SpaceName"]; records: number };
    Collection: { name: string; records: number };
    Document: { [field: string]: unknown };
    Record: { id: string; doc: components["schemas"]["Document"] };
    RecordPage: { items: components["schemas"]["Record"][]; next: string | null };
    Put: { id: string; hlc: string };
    Import: { records: number; entries: number; seconds: number };
    DeviceName: { peer_id: string; name: string | null };
    RecordSync: {
      id: string;
      pending: boolean;
      synced_to: components["schemas"]["DeviceName"][];
      missing: components["schemas"]["DeviceName"][];
    };
    Device: { peer_id: string; name: string; fingerprint: string; this: boolean };
    Member: {
      user_id: string;
      name: string;
      role: components["schemas"]["Role"];
      you: boolean;
      devices: components["schemas"]["Device"][];
    };
    KnownDevice: {
      peer_id: string;
      name: string;
      user_id: string;
      user: string;
      yours: boolean;
      this: boolean;
      fingerprint: string;
      state: components["schemas"]["DeviceState"];
      last_seen: string | null;
      spaces: { id: string; name: string; device: string }[];
    };
    DeviceDone: {
      peer_id: string;
      name: string;
      spaces: { id: string; name: string; done: boolean; reason: string | null }[];
    };
    Linked: components["schemas"]["Identity"] & {
      linked_by: components["schemas"]["Device"];
      replaced_user_id: string;
      spaces: { id: string; name: string; here: boolean }[];
    };
    Person: { user_id: string | null; user: string | null; peer_id: string | null; device: string | null };
    Act: {
      at: string;
      hlc: string;
      who: components["schemas"]["Person"];
      what: string;
      whom: components["schemas"]["Person"] | null;
      text: string;
      stands: boolean;
      log: string;
      seq: number;
      part: number;
      hash: string;
    };
    BackupLine:
      | { event: "progress"; stage: string; done: number; total: number }
      | { event: "done"; bytes: number; spaces: number; entries: number; records: number }
      | { event: "failed"; detail: string };
    Problem: { type: string; title: string; status: number; detail: string; line?: number; records?: number };
    ChannelMember: { user: string; name: string; role: "admin" | "member" };
    Channel: {
      id: string;
      space: string;
      name: string;
      kind: "public" | "private" | "direct";
      topic: string;
      archived: boolean;
      joined: boolean;
      members: components["schemas"]["ChannelMember"][];
      unread: number;
      mentions: number;
      new_since: string | null;
      last: components["schemas"]["Message"] | null;
      draft: string;
    };
    Message: {
      id: string;
      channel: string;
      author: string;
      author_name: string;
      device: string;
      text: string;
      at: string;
      edited: boolean;
      deleted: boolean;
      reply_to: string | null;
      thread: { replies: number; last_at: string } | null;
      mentions: string[];
      reactions: { [emoji: string]: string[] };
      state: "pending" | "sent" | "delivered" | "read";
      delivered_to: string[];
      read_by: string[];
      position: string;
    };
    MessagePage: { items: components["schemas"]["Message"][]; before: string | null; after: string | null };
    Presence: { user: string; state: "online" | "away" | "offline"; since: string | null };
    Found: { message: components["schemas"]["Message"]; highlights: [number, number][] };
    FoundPage: { items: components["schemas"]["Found"][]; next: string | null };
  };
}

type Schemas = components["schemas"];
export type Status = Schemas["Status"];
export type Space = Schemas["Space"];
export type Sync = Schemas["Sync"];
export type Peer = Schemas["Peer"];
export type Role = Schemas["Role"];
export type Member = Schemas["Member"];
export type KnownDevice = Schemas["KnownDevice"];
export type OwnDevice = Schemas["OwnDevice"];
export type DeviceState = Schemas["DeviceState"];
export type DeviceDone = Schemas["DeviceDone"];
export type Invite = Schemas["Invite"];
export type Joined = Schemas["Joined"];
export type Linked = Schemas["Linked"];
export type Act = Schemas["Act"];
export type Person = Schemas["Person"];
export type Collection = Schemas["Collection"];
export type Document = Schemas["Document"];
export type CoveyRecord = Schemas["Record"];
export type RecordPage = Schemas["RecordPage"];
export type RecordSync = Schemas["RecordSync"];
export type Put = Schemas["Put"];
export type ImportResult = Schemas["Import"];
export type Doctor = Schemas["Doctor"];
export type BackupLine = Schemas["BackupLine"];
export type ProblemDocument = Schemas["Problem"];
export type Channel = Schemas["Channel"];
export type ChannelMember = Schemas["ChannelMember"];
export type Message = Schemas["Message"];
export type MessagePage = Schemas["MessagePage"];
export type Presence = Schemas["Presence"];
export type Found = Schemas["Found"];
export type FoundPage = Schemas["FoundPage"];
