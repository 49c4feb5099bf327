// What the daemon says of itself at /metrics: by these counts every answer is accounted for, also those that wrk never saw.

import { cpuSeconds } from "./load.ts";

export interface Counts {
  /** Entries of the log. */
  readonly size: number;
  /** Durable commits since the start. */
  readonly commits: number;
  /** GraphQL requests whose outcome was `ok`. */
  readonly ok: number;
  /** All others. */
  readonly notOk: number;
  /** Of these the ones that were not begun: too much waited, or the caller had hung up, as wrk does at its end. */
  readonly notBegun: number;
  /** Why, in Prometheus' own lines. */
  readonly complaints: readonly string[];
}

export async function counts(url: string): Promise<Counts> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = [...text.matchAll(/^(\w+)(\{.*\})? (\S+)$/gm)].map(([, name = "", labels = "", value]) => ({
    name,
    labels,
    value: Number(value),
  }));
  const sum = (name: string, fits: (labels: string) => boolean = () => true): number =>
    samples.filter((one) => one.name === name && fits(one.labels)).reduce((total, one) => total + one.value, 0);
  const isOk = (labels: string): boolean => labels.includes('outcome="ok"');
  return {
    size: sum("signet_log_size"),
    commits: sum("signet_log_commit_seconds_count"),
    ok: sum("signet_requests_total", isOk),
    notOk: sum("signet_requests_total", (labels) => !isOk(labels)),
    notBegun: sum("signet_faults_total", (labels) => labels.includes('code="OVERLOADED"')),
    complaints: text.split("\n").filter((line) => /^signet_(?:refusals|faults)_total\{/.test(line)),
  };
}

/** Once what wrk left behind is answered: requests and entries stand still, and the process `pid` has nothing to do. */
export async function countsAtRest(url: string, pid: number): Promise<Counts> {
  for (let [before, spent] = [await counts(url), cpuSeconds(pid)]; ; ) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [now, spentNow] = [await counts(url), cpuSeconds(pid)];
    if (now.size === before.size && now.ok === before.ok && spentNow - spent < 0.06) return now;
    [before, spent] = [now, spentNow];
  }
}
