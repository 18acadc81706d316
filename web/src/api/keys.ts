/** The names under which answers are kept. What belongs to a space starts with the space, so that it is forgotten together. */
export const keys = {
  status: ["status"],
  unreachable: ["unreachable"],
  devices: ["devices"],
  doctor: ["doctor"],
  space: (space: string) => ["space", space] as const,
  members: (space: string) => ["space", space, "members"] as const,
  audit: (space: string) => ["space", space, "audit"] as const,
  collections: (space: string) => ["collections", space] as const,
  records: (space: string, collection: string, where: string) => ["records", space, collection, where] as const,
  recordSync: (space: string, collection: string, id: string) => ["record-sync", space, collection, id] as const,
  channels: (space: string) => ["channels", space] as const,
  messages: (space: string, channel: string) => ["messages", space, channel] as const,
  message: (space: string, id: string) => ["message", space, id] as const,
  thread: (space: string, channel: string, root: string) => ["messages", space, channel, root] as const,
  presence: (space: string) => ["presence", space] as const,
  search: (space: string, words: string) => ["search", space, words] as const,
};
