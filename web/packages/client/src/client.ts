/** What a node can be asked, one function for each route. */
import { ask, lines, path, send, type Connection } from "./http.ts";
import type * as S from "./types.ts";

type Signal = AbortSignal | undefined;

export const createClient = (connection: Connection) => ({
  connection,

  status: (signal?: Signal) => ask<S.Status>(connection, path("status"), { signal }),
  doctor: (signal?: Signal) => ask<S.Doctor>(connection, path("doctor"), { signal }),
  join: (code: string, timeout_s: number, signal?: Signal) =>
    ask<S.Joined>(connection, path("join"), { method: "POST", json: { code, timeout_s }, signal }),

  async *backup(file: string, passphrase: string, signal?: Signal) {
    const call = { method: "POST", json: { file, passphrase }, signal };
    yield* lines<S.BackupLine>(await send(connection, path("backup"), call));
  },

  /** As `backup`, without waiting for it: the job tells how far it is. */
  startBackup: (file: string, passphrase: string) =>
    ask<S.Job>(connection, path("backup"), { method: "POST", json: { file, passphrase }, prefer: "respond-async" }),
  jobs: (signal?: Signal) => ask<S.JobList>(connection, path("jobs"), { signal }),
  job: (id: string, signal?: Signal) => ask<S.Job>(connection, path("jobs", id), { signal }),
  cancelJob: (id: string) => ask<S.Job>(connection, path("jobs", id), { method: "DELETE" }),

  createSpace: (name: string) => ask<S.Space>(connection, path("spaces"), { method: "POST", json: { name } }),
  invite: (space: string, role: S.Role) =>
    ask<S.Invite>(connection, path("spaces", space, "invites"), { method: "POST", json: { role } }),
  leaveSpace: (space: string) => ask<S.Removed>(connection, path("spaces", space, "leave"), { method: "POST" }),
  rotateKey: (space: string) => ask<S.Rotated>(connection, path("spaces", space, "rotate-key"), { method: "POST" }),

  members: (space: string, signal?: Signal) => ask<S.Member[]>(connection, path("spaces", space, "members"), { signal }),
  setRole: (space: string, user: string, role: S.Role) =>
    ask<S.Member>(connection, path("spaces", space, "members", user), { method: "PATCH", json: { role } }),
  removeMember: (space: string, user: string) =>
    ask<S.Removed>(connection, path("spaces", space, "members", user), { method: "DELETE" }),
  async audit(space: string, signal?: Signal): Promise<S.Act[]> {
    const acts: S.Act[] = [];
    const response = await send(connection, path("spaces", space, "audit"), { signal });
    for await (const act of lines<S.Act>(response)) acts.push(act);
    return acts;
  },

  devices: (signal?: Signal) => ask<S.KnownDevice[]>(connection, path("devices"), { signal }),
  linkDevice: () => ask<S.Invite>(connection, path("devices", "link"), { method: "POST", json: {} }),
  joinAsDevice: (code: string, timeout_s: number, signal?: Signal) =>
    ask<S.Linked>(connection, path("devices", "join"), { method: "POST", json: { code, timeout_s }, signal }),
  renameDevice: (device: string, name: string) =>
    ask<S.DeviceDone>(connection, path("devices", device), { method: "PATCH", json: { name } }),
  revokeDevice: (device: string) => ask<S.DeviceDone>(connection, path("devices", device), { method: "DELETE" }),

  collections: (space: string, signal?: Signal) =>
    ask<S.Collection[]>(connection, path("spaces", space, "collections"), { signal }),
  records: (space: string, collection: string, query: S.QueryOf<"listRecords">, signal?: Signal) =>
    ask<S.RecordPage>(connection, path("spaces", space, "collections", collection, "records"), { query, signal }),
  putRecord: (space: string, collection: string, id: string | undefined, doc: S.Document) =>
    ask<S.Put>(connection, path("spaces", space, "collections", collection, "records"), {
      method: "POST",
      json: id === undefined ? { doc } : { id, doc },
    }),
  deleteRecord: (space: string, collection: string, id: string) =>
    ask<void>(connection, path("spaces", space, "collections", collection, "records", id), { method: "DELETE" }),
  recordSync: (space: string, collection: string, id: string, signal?: Signal) =>
    ask<S.RecordSync>(connection, path("spaces", space, "collections", collection, "records", id, "sync"), { signal }),
  exportUrl: (space: string, collection: string) => path("spaces", space, "collections", collection, "export"),
  exportLines: (space: string, collection: string, signal?: Signal) =>
    send(connection, path("spaces", space, "collections", collection, "export"), { signal }),
  /** Writes lines of JSON as a job, which goes on when the caller is gone. The lines still have to be sent. */
  startImport: (space: string, collection: string, lines: BodyInit, query: S.QueryOf<"importRecords"> = {}) =>
    ask<S.Job>(connection, path("spaces", space, "collections", collection, "import"), {
      method: "POST",
      query,
      body: lines,
      prefer: "respond-async",
    }),
  importUrl: (space: string, collection: string) => path("spaces", space, "collections", collection, "import"),

  ...chat(connection),
});

const chat = (connection: Connection) => ({
  channels: (space: string, signal?: Signal) =>
    ask<S.ChannelList>(connection, path("spaces", space, "channels"), { signal }),
  createChannel: (space: string, channel: S.NewChannel) =>
    ask<S.Channel>(connection, path("spaces", space, "channels"), { method: "POST", json: channel }),
  direct: (space: string, users: string[]) =>
    ask<S.Channel>(connection, path("spaces", space, "direct"), { method: "POST", json: { users } }),
  changeChannel: (space: string, channel: string, change: S.ChannelPatch) =>
    ask<S.Channel>(connection, path("spaces", space, "channels", channel), { method: "PATCH", json: change }),
  joinChannel: (space: string, channel: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "join"), { method: "POST" }),
  leaveChannel: (space: string, channel: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "leave"), { method: "POST" }),
  addToChannel: (space: string, channel: string, user: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "members"), { method: "POST", json: { user } }),
  setChannelRole: (space: string, channel: string, user: string, role: S.ChannelMember["role"]) =>
    ask<S.Channel>(connection, path("spaces", space, "channels", channel, "members", user), { method: "PATCH", json: { role } }),
  removeFromChannel: (space: string, channel: string, user: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "members", user), { method: "DELETE" }),
  messages: (
    space: string,
    channel: string,
    query: S.QueryOf<"listMessages">,
    signal?: Signal,
  ) => ask<S.MessagePage>(connection, path("spaces", space, "channels", channel, "messages"), { query, signal }),
  sendMessage: (space: string, channel: string, message: S.NewMessage) =>
    ask<S.Message>(connection, path("spaces", space, "channels", channel, "messages"), { method: "POST", json: message }),
  message: (space: string, id: string, signal?: Signal) =>
    ask<S.Message>(connection, path("spaces", space, "messages", id), { signal }),
  editMessage: (space: string, id: string, text: string) =>
    ask<S.Message>(connection, path("spaces", space, "messages", id), { method: "PATCH", json: { text } }),
  deleteMessage: (space: string, id: string) =>
    ask<void>(connection, path("spaces", space, "messages", id), { method: "DELETE" }),
  react: (space: string, id: string, emoji: string, on: boolean) =>
    ask<void>(connection, path("spaces", space, "messages", id, "reactions", emoji), { method: on ? "PUT" : "DELETE" }),
  markRead: (space: string, channel: string, upto: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "read"), { method: "PUT", json: { upto } }),
  saveDraft: (space: string, channel: string, text: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "draft"), { method: "PUT", json: { text } }),
  typing: (space: string, channel: string) =>
    ask<void>(connection, path("spaces", space, "channels", channel, "typing"), { method: "POST" }),
  setPresence: (state: S.OwnPresence) => ask<void>(connection, path("presence"), { method: "PUT", json: { state } }),
  presence: (space: string, signal?: Signal) =>
    ask<S.PresenceList>(connection, path("spaces", space, "presence"), { signal }),
  search: (space: string, query: S.QueryOf<"searchMessages">, signal?: Signal) =>
    ask<S.FoundPage>(connection, path("spaces", space, "search"), { query, signal }),
});

export type Client = ReturnType<typeof createClient>;
