// Columns for people: as wide as their widest cell, cut to the terminal where there is one. A cell is plain text:
// control characters are made visible, because names come from strangers and a terminal obeys what it reads.

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  readonly right?: boolean;
}

const gap = "  ";
const least = 8;

/** `width`: characters of the terminal; undefined for no limit. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width?: number): readonly string[] {
  const head = columns.map((column) => column.title);
  const body = rows.map((row) => columns.map((column) => visible(column.cell(row))));
  const natural = columns.map((_, i) => Math.max(...[head, ...body].map((cells) => length(cells[i] ?? ""))));
  const widths = fitted(natural, width);
  return [head, ...body].map((cells) =>
    `${gap}${cells.map((cell, i) => padded(cell, widths[i] ?? 0, columns[i]?.right ?? false)).join(gap)}`.trimEnd(),
  );
}

/** The widest column gives way, until the line fits or nothing can give. */
function fitted(natural: readonly number[], width: number | undefined): readonly number[] {
  const widths = [...natural];
  const total = (): number => widths.reduce((sum, one) => sum + one + gap.length, 0);
  while (width !== undefined && total() > width) {
    const widest = Math.max(...widths);
    if (widest <= least) break;
    widths[widths.indexOf(widest)] = Math.max(least, widest - (total() - width));
  }
  return widths;
}

function padded(cell: string, width: number, right: boolean): string {
  const characters = Array.from(cell);
  const cut = characters.length > width ? `${characters.slice(0, width - 1).join("")}…` : cell;
  const fill = " ".repeat(Math.max(0, width - length(cut)));
  return right ? fill + cut : cut + fill;
}

const length = (text: string): number => Array.from(text).length;

/** Control and direction-changing characters as `\u{…}`. */
export const visible = (text: string): string =>
  text.replace(
    /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (one) => `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`,
  );
