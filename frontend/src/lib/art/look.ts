/** How a product's picture looks. The same name always looks the same. */
export type Palette = {
  wall: string;
  table: string;
  main: string;
  deep: string;
  light: string;
  accent: string;
};

export type Look = {
  palette: Palette;
  /** The index of the shape, modulo the number of shapes the category has. */
  shape: number;
  /** The index of the pattern on its label. */
  motif: number;
};

const PALETTES: readonly [Palette, ...Palette[]] = [
  p('#e9dcc3', '#d6c19b', '#12504b', '#0b3532', '#f6efe2', '#e08a5b'),
  p('#d5e0da', '#b4c8be', '#b4532a', '#7f3517', '#fbf1e2', '#f0c26b'),
  p('#f0d9c6', '#dcb897', '#27435e', '#182c40', '#f4ede0', '#d9643f'),
  p('#dbdfe8', '#bcc4d6', '#8a3b46', '#5e232d', '#f8ece4', '#e7b04b'),
  p('#ece3cb', '#d3c596', '#5a6b2e', '#3a471b', '#f7f2df', '#c9572e'),
  p('#e7d7d9', '#cfb3b8', '#3c5a4d', '#243a31', '#f5eee6', '#e39a86'),
  p('#d4e1e4', '#aec7cd', '#d08a2e', '#965d14', '#fdf4e0', '#1f4e5a'),
  p('#eadfd4', '#cfbba7', '#6a4a7a', '#452c54', '#f6eef3', '#e6a94f'),
  p('#e2e4d3', '#c2c8a7', '#1f6a7a', '#124450', '#f3f0e3', '#dd6b4d'),
  p('#f2dfb9', '#dfc083', '#4b2f23', '#2d1a12', '#f9efdc', '#3d8577'),
];

function p(
  wall: string,
  table: string,
  main: string,
  deep: string,
  light: string,
  accent: string,
): Palette {
  return { wall, table, main, deep, light, accent };
}

export function lookOf(name: string): Look {
  const hash = fnv1a(name);
  return {
    palette: PALETTES[hash % PALETTES.length] ?? PALETTES[0],
    shape: (hash >>> 8) & 0xff,
    motif: (hash >>> 16) & 0xff,
  };
}

/** FNV-1a with a final mix: its low bits alone hardly differ between names with the same ending. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}
