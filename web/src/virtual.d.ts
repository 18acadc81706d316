declare module "virtual:emoji" {
  /** Character, name, more words, group. */
  const list: [string, string, string, number][];
  export default list;
}
