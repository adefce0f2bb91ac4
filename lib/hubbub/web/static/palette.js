// Colours of spectrograms: magma, in sixteen steps, with the levels that are darkest and brightest.

const STEPS = [
  [0, 0, 4], [11, 9, 36], [32, 17, 75], [59, 15, 112], [87, 21, 126], [114, 31, 129], [140, 41, 129], [168, 50, 125],
  [196, 60, 117], [222, 73, 104], [241, 96, 93], [250, 127, 94], [254, 159, 109], [254, 191, 132], [253, 222, 160], [252, 253, 191],
];

/** A table of 256 colours for grey levels; levels up to `low` are dark, from `high` on bright. */
export function makePalette(low, high) {
  const table = new Uint32Array(256);
  for (let grey = 0; grey < 256; grey += 1) {
    const at = Math.min(1, Math.max(0, (grey - low) / Math.max(1, high - low))) * (STEPS.length - 1);
    const below = Math.min(STEPS.length - 2, Math.floor(at));
    const mixed = STEPS[below].map((part, place) => Math.round(part + (at - below) * (STEPS[below + 1][place] - part)));
    table[grey] = (255 << 24) | (mixed[2] << 16) | (mixed[1] << 8) | mixed[0];
  }
  return table;
}

/** Grey levels between which most of the tiles' pixels lie: a dark ground, and the loudest bright. */
export function chooseLevels(tiles) {
  const counts = new Float64Array(256);
  for (const grey of tiles) for (let place = 0; place < grey.length; place += 7) counts[grey[place]] += 1;
  counts[0] = 0; // where there is no audio
  const total = counts.reduce((sum, n) => sum + n, 0);
  if (!total) return [0, 255];
  const find = (share) => {
    let sum = 0;
    for (let grey = 0; grey < 256; grey += 1) if ((sum += counts[grey]) >= share * total) return grey;
    return 255;
  };
  const high = Math.max(40, find(0.9995));
  return [Math.max(0, Math.min(find(0.3), high - 60)), high];
}
