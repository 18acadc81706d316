/**
 * The shapes of the API by the names that the package gives them. What they are stands in `schema.ts`, which is made of the
 * OpenAPI document (`make openapi`); nothing here or elsewhere describes a shape once more.
 */
import type { components, operations } from "./schema.ts";

type Schemas = components["schemas"];
export type Status = Schemas["Status"];
export type Space = Schemas["Space"];
export type Sync = Schemas["Sync"];
export type Peer = Schemas["Peer"];
export type Role = Schemas["Role"];
export type InviteRole = Schemas["InviteRole"];
export type Member = Schemas["Member"];
export type KnownDevice = Schemas["KnownDevice"];
export type OwnDevice = Schemas["OwnDevice"];
export type DeviceState = Schemas["DeviceState"];
export type DeviceDone = Schemas["DeviceDone"];
export type Invite = Schemas["Invite"];
export type Joined = Schemas["Joined"];
export type Linked = Schemas["Linked"];
export type Removed = Schemas["Removed"];
export type Rotated = Schemas["Rotated"];
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
export type Job = Schemas["Job"];
export type JobList = Schemas["JobList"];
export type Channel = Schemas["Channel"];
export type ChannelList = Schemas["ChannelList"];
export type ChannelMember = Schemas["Participant"];
export type NewChannel = Schemas["NewChannel"];
export type ChannelPatch = Schemas["ChannelPatch"];
export type Message = Schemas["Message"];
export type NewMessage = Schemas["NewMessage"];
export type MessagePage = Schemas["MessageList"];
export type Presence = Schemas["Presence"];
export type PresenceList = Schemas["PresenceList"];
export type OwnPresence = Schemas["OwnPresence"];
export type Found = Schemas["Found"];
export type FoundPage = Schemas["FoundList"];
export type NodeEvent = Schemas["Event"];
export type InviteState = Schemas["InviteState"];
export type NewSpace = Schemas["NewSpace"];
export type NewMember = Schemas["NewMember"];
export type History = Schemas["History"];
export type SpaceHistory = Schemas["SpaceHistory"];
export type Profile = Schemas["Profile"];
export type WebLink = Schemas["WebLink"];
export type BrowserList = Schemas["BrowserList"];
export type SignedOut = Schemas["SignedOut"];
export type RecordSyncList = Schemas["RecordSyncList"];
export type Deliveries = Schemas["Deliveries"];
export type Change = Schemas["Change"];
export type ChangePage = Schemas["ChangePage"];
export type SqlRequest = Schemas["SqlRequest"];
export type Sql = Schemas["Sql"];
export type ChannelRole = Schemas["ChannelRole"];

/** The document that describes the API. */
export type OpenApi = operations["getOpenApi"]["responses"][200]["content"]["application/json"];

/** The query parameters of an operation. */
export type QueryOf<Name extends keyof operations> = NonNullable<operations[Name]["parameters"]["query"]>;
