// Which programs of other people do the tests need, in which version, and where do they come from?
// Cheap ones first: `install` goes through the table from top to bottom, and suites wait only for what they use.

export type Peer =
  /** In the distribution; any version does. `packages` are Debian's names. */
  | {
      readonly from: "debian";
      readonly packages: readonly string[];
      /** Of what is no program itself: the shared library to load, below a folder of libraries. */
      readonly library?: string;
      /** Programs that belong to the library. */
      readonly programs?: readonly string[];
      readonly purpose: string;
    }
  /** `go install SOURCE@VERSION`. */
  | { readonly from: "go"; readonly version: string; readonly source: string; readonly purpose: string }
  /** A module of ours in this folder, which pins the sources; `programs` maps a file name to its Go package. */
  | {
      readonly from: "module";
      readonly version: string;
      readonly folder: string;
      readonly programs: Readonly<Record<string, string>>;
      /** A module of which a copy is laid beside ours, completed by the files of our subfolder of that name. */
      readonly patched: {
        readonly folder: string;
        readonly source: string;
        /** Texts that stand once in a file of the copy, and what they become. */
        readonly edits?: readonly { readonly file: string; readonly from: string; readonly to: string }[];
      };
      /** Build tags of Go. */
      readonly tags?: string;
      /** Programs that do as well, where one is on PATH. */
      readonly others?: readonly string[];
      readonly purpose: string;
    }
  /** From PyPI, into a virtual environment of its own; our subfolder's requirements.txt pins all of it. */
  | {
      readonly from: "python";
      readonly version: string;
      readonly folder: string;
      /** What `python -m` runs. */
      readonly module: string;
      /** Debian's names, for where Python is missing. */
      readonly packages: readonly string[];
      readonly purpose: string;
    };

export const peers = {
  openssl: { from: "debian", packages: ["openssl"], purpose: "verifies signatures with nothing but the public key" },
  strace: { from: "debian", packages: ["strace"], purpose: "sees the fsync before each signature" },
  "systemd-analyze": { from: "debian", packages: ["systemd"], purpose: "rates the hardening of the systemd unit" },
  gcc: { from: "debian", packages: ["gcc", "libc6-dev"], purpose: "builds the shim that makes fsync fail" },
  wrk: { from: "debian", packages: ["wrk"], purpose: "loads the daemon in the benchmark" },
  softhsm: {
    from: "debian",
    packages: ["softhsm2"],
    library: "softhsm/libsofthsm2.so",
    programs: ["softhsm2-util"],
    purpose: "a PKCS#11 token in files, for custody pkcs11",
  },
  softokn: {
    from: "debian",
    packages: ["libnss3", "libnss3-tools"],
    library: "libsoftokn3.so",
    programs: ["certutil"],
    purpose: "a PKCS#11 module whose attributes promise more than it keeps",
  },
  "tpm2-pkcs11": {
    from: "debian",
    packages: [
      "swtpm",
      "swtpm-tools",
      "libtpm2-pkcs11-1",
      "libtpm2-pkcs11-tools",
      "tpm2-abrmd",
      "libtss2-tcti-tabrmd0",
      "dbus",
    ],
    library: "libtpm2_pkcs11.so.1",
    programs: ["swtpm", "swtpm_setup", "tpm2-abrmd", "tpm2_ptool", "dbus-daemon"],
    purpose: "a TPM in software and its PKCS#11 module, which locks after wrong PINs",
  },
  ministack: {
    from: "python",
    version: "1.5.33",
    folder: "ministack",
    module: "ministack.app",
    packages: ["python3", "python3-venv"],
    purpose: "stands for AWS KMS and IAM",
  },
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
  // The longest build, seven minutes of one core; before cosign, since more suites wait for it. Business Source License:
  // a server for tests, which nothing of ours is built with or ships.
  vault: {
    from: "module",
    version: "v1.21.4",
    folder: "vault",
    programs: { vault: "." },
    patched: {
      folder: "sdk",
      source: "github.com/hashicorp/vault/sdk@v0.21.0",
      edits: [
        {
          file: "framework/backend.go",
          from: "ActivationFunc func(context.Context, *logical.Request, string) error",
          to: "ActivationFunc func(context.Context, *logical.Request) error",
        },
        {
          file: "helper/keysutil/lock_manager.go",
          from: "func (lm *LockManager) RestorePolicy(",
          to: "func (lm *LockManager) restorePolicy(",
        },
      ],
    },
    tags: "minimal",
    others: ["vault", "bao"],
    purpose: "holds keys in transit, for custody vault-transit",
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
