// Which programs of other people do the tests need, in which version, and where do they come from?
// Cheap ones first: `install` goes through the table from top to bottom, and suites wait only for what they use.

type Peer =
  /** In the distribution; any version does. `packages` are Debian's names. */
  | { readonly from: "debian"; readonly packages: readonly string[]; readonly purpose: string }
  /** `go install SOURCE@VERSION`. */
  | { readonly from: "go"; readonly version: string; readonly source: string; readonly purpose: string }
  /** A module of ours in this folder, which pins the sources; `programs` maps a file name to its Go package. */
  | {
      readonly from: "module";
      readonly version: string;
      readonly folder: string;
      readonly programs: Readonly<Record<string, string>>;
      /** A module of which a copy is laid beside ours, completed by the files of our subfolder of that name. */
      readonly patched: { readonly folder: string; readonly source: string };
      readonly purpose: string;
    };

export const peers = {
  openssl: { from: "debian", packages: ["openssl"], purpose: "verifies signatures with nothing but the public key" },
  strace: { from: "debian", packages: ["strace"], purpose: "sees the fsync before each signature" },
  "systemd-analyze": { from: "debian", packages: ["systemd"], purpose: "rates the hardening of the systemd unit" },
  gcc: { from: "debian", packages: ["gcc", "libc6-dev"], purpose: "builds the shim that makes fsync fail" },
  wrk: { from: "debian", packages: ["wrk"], purpose: "loads the daemon in the benchmark" },
  fsck: {
    from: "go",
    version: "v1.0.4",
    source: "github.com/transparency-dev/tessera/cmd/fsck",
    purpose: "checks the static log tree from end to end",
  },
  omniwitness: {
    from: "module",
    version: "v0.0.0-20260720115447-2e1c6971d19e",
    folder: "omniwitness",
    programs: {
      omniwitness: "github.com/transparency-dev/witness/cmd/omniwitness",
      witness_keys: "github.com/transparency-dev/witness/cmd/generate_keys",
    },
    patched: { folder: "merkle", source: "github.com/transparency-dev/merkle@v0.0.2" },
    purpose: "cosigns checkpoints and refuses a forked log",
  },
  cosign: {
    from: "go",
    version: "v3.1.3",
    source: "github.com/sigstore/cosign/v3/cmd/cosign",
    purpose: "verifies our Sigstore bundles",
  },
} as const satisfies Record<string, Peer>;

export type PeerName = keyof typeof peers;
export const peerNames = Object.keys(peers) as readonly PeerName[]; // the keys of a constant

export const isPeerName = (text: string): text is PeerName => Object.hasOwn(peers, text);
