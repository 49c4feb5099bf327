// The forty attacks that Signet has to stand, and which of them cannot be tried yet. A number is either the beginning of
// a test's name in this folder ("attack 13: …") or says why it waits; forty.test.ts holds the folder against this table,
// and reporter.ts prints every number after a run.

export interface Attack {
  readonly number: number;
  readonly title: string;
  /** Why nothing can be tried yet. */
  readonly notYet?: string;
  /** What the tests of this number leave out. */
  readonly without?: string;
}

export const forty: readonly Attack[] = [
  { number: 1, title: "a thousand aliases of one mutation" },
  { number: 2, title: "an array of fifty operations" },
  { number: 3, title: "twenty thousand levels of nesting" },
  { number: 4, title: "fragment cycles and overlapping fields" },
  { number: 5, title: "introspection by strangers" },
  { number: 6, title: "suggestions for misspelt fields" },
  { number: 7, title: "mutations by GET, forms and foreign origins" },
  { number: 8, title: "variables of the wrong type" },
  { number: 9, title: "subscriptions, WebSockets, slow connections" },
  { number: 10, title: "alg none, RS256 to HS256, a storm of unknown key ids" },
  { number: 11, title: "issuers that look alike" },
  { number: 12, title: "two audiences, or none" },
  { number: 13, title: "an identity token from a second key" },
  { number: 14, title: "an identity token with other padding bits" },
  { number: 15, title: "tokens from another time" },
  { number: 16, title: "the same repository name, another repository" },
  { number: 17, title: "both forms of GitHub's sub" },
  {
    number: 18,
    title: "events that run a stranger's code",
    without: "CircleCI's ssh-rerun: there is no adapter for CircleCI, and the generic one reads no such claim",
  },
  { number: 19, title: "claims of the wrong type" },
  { number: 20, title: "names that differ in case or in Unicode" },
  { number: 21, title: "refs with line breaks and dots" },
  { number: 22, title: "regular expressions in a grant" },
  { number: 23, title: "wrong proofs of possession" },
  { number: 24, title: "a stolen session token, an ended session" },
  { number: 25, title: "fifty requests for the last use" },
  {
    number: 26,
    title: "digests that do not fit",
    without: "ML-DSA's external mu: there is no ML-DSA key to ask for it",
  },
  { number: 27, title: "a key of another kind, a key outside the session" },
  {
    number: 28,
    title: "approvals that must not count",
    without: "k of n: one approval is all there is, and it takes effect with its decision",
  },
  {
    number: 29,
    title: "approvals that race a withdrawal",
    without: "the deadline: an action waits for a day, whatever the configuration says",
  },
  {
    number: 30,
    title: "clocks that are wrong",
    without: "a database with a clock of its own: SQLite has none",
  },
  { number: 31, title: "the end of the log deleted" },
  { number: 32, title: "two daemons with one log key", notYet: "one daemon per log; several come with PostgreSQL" },
  { number: 33, title: "an edited row of the query index" },
  { number: 34, title: "a full disk, a witness that is down" },
  { number: 35, title: "YAML bombs" },
  {
    number: 36,
    title: "addresses that lead inside",
    without: "Vault and webhooks: neither exists yet",
  },
  { number: 37, title: "file targets outside their root", notYet: "secrets are not synced to files yet" },
  { number: 38, title: "guessing a token's PIN" },
  { number: 39, title: "injections into the log" },
  { number: 40, title: "errors that tell secrets" },
];
