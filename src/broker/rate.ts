// How often one principal may ask under one grant.

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
      if (buckets.size > 10_000) buckets.clear();
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
