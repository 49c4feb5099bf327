// ISO 8601 durations of fixed length: days, hours, minutes, seconds. Months and years have no length and are refused.

const form = /^P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9})S)?)?$/;

/** Milliseconds. Throws SyntaxError with an example. */
export function parseDuration(text: string): number {
  const match = form.exec(text);
  if (!match || text.endsWith("P") || text.endsWith("T")) {
    throw new SyntaxError(`"${text.slice(0, 40)}" is not an ISO 8601 duration such as PT10M, PT1H30M or P7D`);
  }
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part || 0));
  return ((((days ?? 0) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0)) * 1000;
}

/** Whether it is one, from `least` to `most` milliseconds. */
export function isDuration(text: string, least = 1, most = Number.POSITIVE_INFINITY): boolean {
  try {
    const length = parseDuration(text);
    return length >= least && length <= most;
  } catch {
    return false;
  }
}

/** Whole seconds, rounded down; `PT0S` for nothing. */
export function formatDuration(milliseconds: number): string {
  const total = Math.max(0, Math.floor(milliseconds / 1000));
  const [days, hours, minutes, seconds] = [
    Math.floor(total / 86_400),
    Math.floor(total / 3600) % 24,
    Math.floor(total / 60) % 60,
    total % 60,
  ];
  const time = `${hours ? `${String(hours)}H` : ""}${minutes ? `${String(minutes)}M` : ""}${seconds ? `${String(seconds)}S` : ""}`;
  return `P${days ? `${String(days)}D` : ""}${time || !days ? `T${time || "0S"}` : ""}`;
}
