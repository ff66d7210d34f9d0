/** The fields in which two documents differ. */
export type Difference = { field: string; before: string; after: string };

/** The fields in which `after` differs from `before`, by their paths, in document order. */
export function differences(before: unknown, after: unknown): Difference[] {
  const [old, now] = [leaves(before), leaves(after)];
  const fields = new Set([...old.keys(), ...now.keys()]);
  return [...fields]
    .map((field) => ({ field, before: old.get(field) ?? '', after: now.get(field) ?? '' }))
    .filter(({ before, after }) => before !== after);
}

/** Every leaf value, by its path. */
function leaves(value: unknown, path = ''): Map<string, string> {
  if (value === null || value === undefined) return new Map();
  if (typeof value !== 'object') return new Map([[path, String(value)]]);
  const within = Object.entries(value).flatMap(([name, child]) => [
    ...leaves(child, path ? `${path}.${name}` : name),
  ]);
  return new Map(within);
}
