/** What a node can be asked, one function for each route of its OpenAPI document. */
import { EventLink, type LinkState } from "./events.ts";
import { ask, lines, path, send, type Connection } from "./http.ts";
import { openSocket, socketUrl, watchSocket } from "./socket.ts";
import type * as S from "./types.ts";

type Signal = AbortSignal | undefined;

/** Who is told of a node's events, and of how the line to it is. */
export interface EventListeners {
  onEvent: (event: S.NodeEvent) => void;
  onState?: (state: LinkState, retryAt: number | null) => void;
}

const ofNode = (connection: Connection) => ({
  openApi: (signal?: Signal) => ask<S.OpenApi>(connection, path("openapi.json"), { signal }),
  status: (signal?: Signal) => ask<S.Status>(connection, path("status"), { signal }),
  doctor: (signal?: Signal) => ask<S.Doctor>(connection, path("doctor"), { signal }),
  peers: (signal?: Signal) => ask<S.Peer[]>(connection, path("peers"), { signal }),
  profile: (signal?: Signal) => ask<S.Profile>(connection, path("profile"), { signal }),
  renameUser: (name: string) => ask<S.Profile>(connection, path("profile"), { method: "PATCH", json: { name } }),

  /** A link that signs a browser in, once. */
  webLink: () => ask<S.WebLink>(connection, path("web-link"), { method: "POST" }),
  browsers: (signal?: Signal) => ask<S.BrowserList>(connection, path("browsers"), { signal }),
  signOut: (browser: string) => ask<void>(connection, path("browsers", browser), { method: "DELETE" }),
  signAllOut: () => ask<S.SignedOut>(connection, path("browsers"), { method: "DELETE" }),

  /** The node's events, followed until the link that this gives is stopped. */
  events: (listeners: EventListeners): EventLink => {
    const link = new EventLink({
      url: () => socketUrl(connection, path("events")),
      open: (url) => openSocket(connection, url),
      onEvent: listeners.onEvent,
      onState: listeners.onState ?? (() => undefined),
    });
    link.start();
    return link;
  },

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
});

const ofSpaces = (connection: Connection) => ({
  /** The spaces; with `all` the user's own one too, which holds their devices together. */
  spaces: (query: S.QueryOf<"listSpaces"> = {}, signal?: Signal) =>
    ask<S.Space[]>(connection, path("spaces"), { query, signal }),
  space: (space: string, signal?: Signal) => ask<S.Space>(connection, path("spaces", space), { signal }),
  createSpace: (name: string, more: Omit<S.NewSpace, "name"> = {}) =>
    ask<S.Space>(connection, path("spaces"), { method: "POST", json: { name, ...more } }),
  join: (code: string, timeout_s: number, signal?: Signal) =>
    ask<S.Joined>(connection, path("join"), { method: "POST", json: { code, timeout_s }, signal }),
  /** As `join`, without waiting for it: the job tells how many records have come. */
  startJoin: (code: string, timeout_s: number) =>
    ask<S.Job>(connection, path("join"), { method: "POST", json: { code, timeout_s }, prefer: "respond-async" }),
  leaveSpace: (space: string) => ask<S.Removed>(connection, path("spaces", space, "leave"), { method: "POST" }),
  rotateKey: (space: string) => ask<S.Rotated>(connection, path("spaces", space, "rotate-key"), { method: "POST" }),

  invite: (space: string, role: S.InviteRole, expires_s?: number) =>
    ask<S.Invite>(connection, path("spaces", space, "invites"), { method: "POST", json: { role, expires_s } }),
  /** Ends an invitation before its time. `id` is the one that it was given with. */
  withdrawInvite: (space: string, id: string) =>
    ask<void>(connection, path("spaces", space, "invites", id), { method: "DELETE" }),

  members: (space: string, signal?: Signal) => ask<S.Member[]>(connection, path("spaces", space, "members"), { signal }),
  member: (space: string, user: string, signal?: Signal) =>
    ask<S.Member>(connection, path("spaces", space, "members", user), { signal }),
  /** Puts somebody of the parent into a child space. */
  addMember: (space: string, member: S.NewMember) =>
    ask<S.Member>(connection, path("spaces", space, "members"), { method: "POST", json: member }),
  setRole: (space: string, user: string, role: S.Role) =>
    ask<S.Member>(connection, path("spaces", space, "members", user), { method: "PATCH", json: { role } }),
  removeMember: (space: string, user: string) =>
    ask<S.Removed>(connection, path("spaces", space, "members", user), { method: "DELETE" }),
  history: (space: string, signal?: Signal) =>
    ask<S.SpaceHistory>(connection, path("spaces", space, "history"), { signal }),
  setHistory: (space: string, history: S.History) =>
    ask<S.SpaceHistory>(connection, path("spaces", space, "history"), { method: "PUT", json: { history } }),
  async audit(space: string, signal?: Signal, query: S.QueryOf<"auditSpace"> = {}): Promise<S.Act[]> {
    const acts: S.Act[] = [];
    const response = await send(connection, path("spaces", space, "audit"), { query, signal });
    for await (const act of lines<S.Act>(response)) acts.push(act);
    return acts;
  },

  devices: (signal?: Signal) => ask<S.KnownDevice[]>(connection, path("devices"), { signal }),
  device: (device: string, signal?: Signal) => ask<S.KnownDevice>(connection, path("devices", device), { signal }),
  linkDevice: (expires_s?: number) =>
    ask<S.Invite>(connection, path("devices", "link"), { method: "POST", json: { expires_s } }),
  withdrawLink: (id: string) => ask<void>(connection, path("devices", "link", id), { method: "DELETE" }),
  joinAsDevice: (code: string, timeout_s: number, signal?: Signal) =>
    ask<S.Linked>(connection, path("devices", "join"), { method: "POST", json: { code, timeout_s }, signal }),
  /** As `joinAsDevice`, without waiting for it: the job tells whose device this one is now, and how many records have come. */
  startJoinAsDevice: (code: string, timeout_s: number) =>
    ask<S.Job>(connection, path("devices", "join"), { method: "POST", json: { code, timeout_s }, prefer: "respond-async" }),
  renameDevice: (device: string, name: string) =>
    ask<S.DeviceDone>(connection, path("devices", device), { method: "PATCH", json: { name } }),
  revokeDevice: (device: string) => ask<S.DeviceDone>(connection, path("devices", device), { method: "DELETE" }),
});

const ofRecords = (connection: Connection) => {
  const records = (space: string, collection: string, ...more: string[]) =>
    path("spaces", space, "collections", collection, ...more);
  return {
    collections: (space: string, signal?: Signal) =>
      ask<S.Collection[]>(connection, path("spaces", space, "collections"), { signal }),
    records: (space: string, collection: string, query: S.QueryOf<"listRecords"> = {}, signal?: Signal) =>
      ask<S.RecordPage>(connection, records(space, collection, "records"), { query, signal }),
    record: (space: string, collection: string, id: string, signal?: Signal) =>
      ask<S.CoveyRecord>(connection, records(space, collection, "records", id), { signal }),
    putRecord: (space: string, collection: string, id: string | undefined, doc: S.Document) =>
      ask<S.Put>(connection, records(space, collection, "records"), {
        method: "POST",
        json: id === undefined ? { doc } : { id, doc },
      }),
    /** Changes the fields that are given; a field that is `null` is removed (RFC 7396). */
    patchRecord: (space: string, collection: string, id: string, fields: S.Document) =>
      ask<S.Put>(connection, records(space, collection, "records", id), { method: "PATCH", json: fields }),
    deleteRecord: (space: string, collection: string, id: string) =>
      ask<void>(connection, records(space, collection, "records", id), { method: "DELETE" }),

    /** On which devices a record is. */
    recordSync: (space: string, collection: string, id: string, signal?: Signal) =>
      ask<S.RecordSync>(connection, records(space, collection, "records", id, "sync"), { signal }),
    recordsSync: (space: string, collection: string, ids: string[], signal?: Signal) =>
      ask<S.RecordSyncList>(connection, records(space, collection, "sync"), { method: "POST", json: { ids }, signal }),
    /** Up to which time each device holds what this one wrote. */
    deliveries: (space: string, signal?: Signal) =>
      ask<S.Deliveries>(connection, path("spaces", space, "deliveries"), { signal }),

    /** What has changed behind a position of the change feed, a page at a time. */
    changes: (space: string, query: S.QueryOf<"listChanges"> = {}, signal?: Signal) =>
      ask<S.ChangePage>(connection, path("spaces", space, "changes"), { query, signal }),
    /** Changes as they come, until `signal` ends it or the line breaks: then it throws, and `since` the last position goes on. */
    watch: (space: string, query: S.QueryOf<"watchChanges"> = {}, signal?: AbortSignal): AsyncGenerator<S.Change> =>
      watchSocket<S.Change>(connection, path("spaces", space, "watch"), query, signal),
    sql: (space: string, request: S.SqlRequest, signal?: Signal) =>
      ask<S.Sql>(connection, path("spaces", space, "sql"), { method: "POST", json: request, signal }),

    exportUrl: (space: string, collection: string) => records(space, collection, "export"),
    exportLines: (space: string, collection: string, signal?: Signal) =>
      send(connection, records(space, collection, "export"), { signal }),
    async *exportRecords(space: string, collection: string, signal?: Signal) {
      yield* lines<S.CoveyRecord>(await send(connection, records(space, collection, "export"), { signal }));
    },
    importUrl: (space: string, collection: string) => records(space, collection, "import"),
    /** Writes a record for each line of JSON, and waits until all are durable. */
    importRecords: (
      space: string,
      collection: string,
      lines: BodyInit,
      query: S.QueryOf<"importRecords"> = {},
      signal?: Signal,
    ) =>
      ask<S.ImportResult>(connection, records(space, collection, "import"), {
        method: "POST",
        query,
        body: lines,
        type: "application/x-ndjson",
        signal,
      }),
    /** As `importRecords`, as a job, which goes on when the caller is gone. The lines still have to be sent. */
    startImport: (space: string, collection: string, lines: BodyInit, query: S.QueryOf<"importRecords"> = {}) =>
      ask<S.Job>(connection, records(space, collection, "import"), {
        method: "POST",
        query,
        body: lines,
        prefer: "respond-async",
      }),
  };
};

const ofChat = (connection: Connection) => {
  const channel = (space: string, id: string, ...more: string[]) => path("spaces", space, "channels", id, ...more);
  return {
    channels: (space: string, signal?: Signal) =>
      ask<S.ChannelList>(connection, path("spaces", space, "channels"), { signal }),
    channel: (space: string, id: string, signal?: Signal) => ask<S.Channel>(connection, channel(space, id), { signal }),
    createChannel: (space: string, wanted: S.NewChannel) =>
      ask<S.Channel>(connection, path("spaces", space, "channels"), { method: "POST", json: wanted }),
    direct: (space: string, users: string[]) =>
      ask<S.Channel>(connection, path("spaces", space, "direct"), { method: "POST", json: { users } }),
    changeChannel: (space: string, id: string, change: S.ChannelPatch) =>
      ask<S.Channel>(connection, channel(space, id), { method: "PATCH", json: change }),
    joinChannel: (space: string, id: string) =>
      ask<void>(connection, channel(space, id, "join"), { method: "POST" }),
    leaveChannel: (space: string, id: string) =>
      ask<void>(connection, channel(space, id, "leave"), { method: "POST" }),
    addToChannel: (space: string, id: string, user: string, role?: S.ChannelRole) =>
      ask<void>(connection, channel(space, id, "members"), { method: "POST", json: { user, role } }),
    setChannelRole: (space: string, id: string, user: string, role: S.ChannelRole) =>
      ask<S.Channel>(connection, channel(space, id, "members", user), { method: "PATCH", json: { role } }),
    removeFromChannel: (space: string, id: string, user: string) =>
      ask<void>(connection, channel(space, id, "members", user), { method: "DELETE" }),

    messages: (space: string, id: string, query: S.QueryOf<"listMessages"> = {}, signal?: Signal) =>
      ask<S.MessagePage>(connection, channel(space, id, "messages"), { query, signal }),
    sendMessage: (space: string, id: string, message: S.NewMessage) =>
      ask<S.Message>(connection, channel(space, id, "messages"), { method: "POST", json: message }),
    message: (space: string, id: string, signal?: Signal) =>
      ask<S.Message>(connection, path("spaces", space, "messages", id), { signal }),
    editMessage: (space: string, id: string, text: string) =>
      ask<S.Message>(connection, path("spaces", space, "messages", id), { method: "PATCH", json: { text } }),
    deleteMessage: (space: string, id: string) =>
      ask<void>(connection, path("spaces", space, "messages", id), { method: "DELETE" }),
    /** Puts a reaction to a message, or takes one's own back. */
    react: (space: string, id: string, emoji: string, on: boolean) =>
      ask<void>(connection, path("spaces", space, "messages", id, "reactions", emoji), { method: on ? "PUT" : "DELETE" }),
    markRead: (space: string, id: string, upto: string) =>
      ask<void>(connection, channel(space, id, "read"), { method: "PUT", json: { upto }, keepalive: true }),
    saveDraft: (space: string, id: string, text: string) =>
      ask<void>(connection, channel(space, id, "draft"), { method: "PUT", json: { text } }),
    typing: (space: string, id: string) => ask<void>(connection, channel(space, id, "typing"), { method: "POST" }),
    setPresence: (state: S.OwnPresence) => ask<void>(connection, path("presence"), { method: "PUT", json: { state } }),
    presence: (space: string, signal?: Signal) =>
      ask<S.PresenceList>(connection, path("spaces", space, "presence"), { signal }),
    search: (space: string, query: S.QueryOf<"searchMessages">, signal?: Signal) =>
      ask<S.FoundPage>(connection, path("spaces", space, "search"), { query, signal }),
  };
};

export const createClient = (connection: Connection) => ({
  connection,
  ...ofNode(connection),
  ...ofSpaces(connection),
  ...ofRecords(connection),
  ...ofChat(connection),
});

export type Client = ReturnType<typeof createClient>;
