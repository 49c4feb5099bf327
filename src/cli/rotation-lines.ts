// A rotation, as people read it: what happened, what is due, what stands in its way.

import type { Rotation } from "../client/answers.ts";
import { timeLeft, when } from "./words.ts";

type Line = readonly [label: string, text: string];

export function rotationLines(rotation: Rotation, now: number): readonly Line[] {
  const { from, to, step, custody, trouble } = rotation;
  const what = `v${String(from)} → v${String(to)} in ${custody}`;
  const lines: readonly Line[] = [
    ["rotation", `${what} · ${step.toLowerCase()}`],
    ...times(rotation, now),
    ...(trouble === null ? [] : [["trouble", trouble] as const]),
  ];
  return lines;
}

function times(
  { step, from, to, publishedAt, switchAt, endedAt, retireAfter }: Rotation,
  now: number,
): readonly Line[] {
  const [old, fresh] = [`v${String(from)}`, `v${String(to)}`];
  switch (step) {
    case "BEGUN":
    case "MADE":
      return [["next", `${fresh} is made and published; ${old} signs`]];
    case "PUBLISHED":
      return [
        ["published", when(publishedAt ?? "", now)],
        [
          "next",
          `${fresh} signs from ${when(switchAt ?? "", now)} on (${timeLeft(switchAt ?? "", now)}); ${old} until then`,
        ],
      ];
    case "SWITCHED":
      return [
        ["switched", `${when(endedAt ?? "", now)}: ${fresh} signs, ${old} verifies only`],
        ["retire", retireAfter === null ? `${old} stays published` : `${old} stays published for ${retireAfter}`],
      ];
    case "CANCELLED":
      return [["cancelled", `${when(endedAt ?? "", now)}: ${fresh} never signs, ${old} goes on`]];
  }
}
