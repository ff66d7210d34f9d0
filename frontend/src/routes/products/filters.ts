/** The filters in the list's URL, and the URLs that change one of them. */
export type Filters = {
  q: string;
  category: string | undefined;
  /** Pairs of an attribute's name and value. */
  attributes: [name: string, value: string][];
  cursor: string | undefined;
};

const ATTRIBUTE = 'attr.';
/** In characters; the API takes 200 bytes. */
const MAX_TEXT = 50;

/** Unknown parameters are ignored: links from other sites add them. */
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

/** The list's URL with `changes`, at the first page unless they set a cursor. */
export function hrefWith(filters: Filters, changes: Partial<Filters>): string {
  const query = queryOf({ ...filters, cursor: undefined, ...changes }).toString();
  return query ? `/products?${query}` : '/products';
}

/** The list's URL with the attribute's value toggled. */
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
