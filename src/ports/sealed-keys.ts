// Where the embedded custody keeps its sealed private keys: bytes that are useless without the master key.

export interface SealedKeys {
  /** Undefined where there is none. */
  find(key: string, number: number): Promise<Uint8Array | undefined>;
  /** Durable on return. Never overwrites: false where one is there already. */
  keep(key: string, number: number, sealed: Uint8Array): Promise<boolean>;
  /** Durable on return, and overwritten where it stood; copies of the database still have it. False where there was none. */
  remove(key: string, number: number): Promise<boolean>;
}
