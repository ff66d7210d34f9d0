/** How well something is doing. The colours are in `styles/tokens.css`. */
export type Tone = 'good' | 'wait' | 'bad' | 'quiet';
