/** The plural rule that English and Spanish share. */
export function plural(n: number, one: string, other: string): string {
  return n === 1 ? one : other;
}
