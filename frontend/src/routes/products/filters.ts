/** What the address of the list says is wanted, and the addresses that change one thing of it. */
export type Filters = {
  q: string;
  category: string | undefined;
  /** By the names of the category's attributes. */
  attributes: [name: string, value: string][];
  cursor: string | undefined;
};

const ATTRIBUTE = 'attr.';
/** In characters; the API takes 200 bytes. */
const MAX_TEXT = 50;

/** Parameters that are none of ours are left out: links from elsewhere carry all kinds. */
export function readFilters(query: URLSearchParams): Filters {
  const category = query.get('category') || undefined;
  const attributes = [...query].flatMap(([name, value]): [string, string][] => {
    const attribute = name.startsWith(ATTRIBUTE) ? name.slice(ATTRIBUTE.length) : '';
    return attribute && value ? [[attribute, value]] : [];
  });
  return {
    q: (query.get('q') ?? '').trim().slice(0, MAX_TEXT),
    category,
    // Only a category has attributes.
    attributes: category ? attributes : [],
    cursor: query.get('cursor') || undefined,
  };
}

export function queryOf({ q, category, attributes, cursor }: Filters): URLSearchParams {
  const query = new URLSearchParams();
  if (q) query.set('q', q);
  if (category) query.set('category', category);
  for (const [name, value] of attributes) query.set(ATTRIBUTE + name, value);
  if (cursor) query.set('cursor', cursor);
  return query;
}

/** The address of the list with `changes`, from its first page on unless they name another. */
export function hrefWith(filters: Filters, changes: Partial<Filters>): string {
  const query = queryOf({ ...filters, cursor: undefined, ...changes }).toString();
  return query ? `/products?${query}` : '/products';
}

/** The address with the attribute's value chosen, or no longer chosen if it is. */
export function hrefToggled(filters: Filters, name: string, value: string): string {
  const others = filters.attributes.filter(([other]) => other !== name);
  const attributes: Filters['attributes'] = isChosen(filters, name, value)
    ? others
    : [...others, [name, value]];
  return hrefWith(filters, { attributes });
}

export function isChosen(filters: Filters, name: string, value: string): boolean {
  return filters.attributes.some((chosen) => chosen[0] === name && chosen[1] === value);
}
