// How often one principal may ask under one grant.

/** Whoever has not asked for a minute has a full bucket again, as somebody new has. */
function forgetFull(buckets: Map<string, { readonly at: number }>, now: number): void {
  for (const [id, { at }] of buckets) if (now - at >= 60_000) buckets.delete(id);
}

/** Token buckets in memory, one per principal and grant: a restart forgives, a crash loop does not matter at this scale. */
export interface Rate {
  /** Seconds to wait; 0 where a place was taken. */
  take(id: string, perMinute: number | undefined, at: number): number;
}

export function rates(): Rate {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take(id, perMinute, at) {
      if (perMinute === undefined) return 0;
      if (buckets.size > 10_000) forgetFull(buckets, at);
      const bucket = buckets.get(id) ?? { tokens: perMinute, at };
      buckets.set(id, bucket);
      bucket.tokens = Math.min(perMinute, bucket.tokens + (Math.max(0, at - bucket.at) / 60_000) * perMinute);
      bucket.at = at;
      if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perMinute) * 60);
      bucket.tokens -= 1;
      return 0;
    },
  };
}
