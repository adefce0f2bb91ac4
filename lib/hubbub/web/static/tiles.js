// Spectrogram tiles: fetched when they are looked at, kept as grey levels, coloured here.

import { address } from "./api.js";
import { chooseLevels, makePalette } from "./palette.js";

const KEPT = 160;

/** The tiles of one recording. `base` is its address, `told` what the server says of it. */
export class TileSet {
  constructor(base, told, { onTile, onProblem }) {
    this.base = base;
    this.columns = told.tile_columns;
    this.lines = told.lines;
    this.levels = told.levels;
    this.onTile = onTile;
    this.onProblem = onProblem;
    this.scale = told.scales[0];
    this.held = new Map();
    this.palette = null;
  }

  /** The level whose columns are about as wide as a pixel. */
  levelFor(secondsPerPixel) {
    const wanted = Math.floor(Math.log2(secondsPerPixel * this.columns) + 0.3);
    return Math.min(this.levels[1], Math.max(this.levels[0], wanted));
  }

  setScale(scale) {
    this.scale = scale;
    this.held.clear();
    this.palette = null;
  }

  /** A tile as a canvas, null while it is fetched. */
  get(level, number) {
    const key = `${this.scale} ${level} ${number}`;
    let tile = this.held.get(key);
    if (tile) {
      this.held.delete(key); // to the end: looked at last
      this.held.set(key, tile);
    } else {
      tile = { grey: null, canvas: null, palette: null };
      this.held.set(key, tile);
      this.fetch(tile, key, level, number);
      while (this.held.size > KEPT) this.held.delete(this.held.keys().next().value);
    }
    if (!tile.grey) return null;
    this.palette ??= makePalette(...chooseLevels([...this.held.values()].map((one) => one.grey).filter(Boolean)));
    if (tile.palette !== this.palette) this.colour(tile);
    return tile.canvas;
  }

  async fetch(tile, key, level, number) {
    try {
      const answer = await fetch(address(`${this.base}/tile`, { level, number, scale: this.scale }));
      if (!answer.ok) throw new Error((await answer.json()).error);
      const image = await createImageBitmap(await answer.blob());
      const canvas = new OffscreenCanvas(this.columns, this.lines);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const data = context.getImageData(0, 0, this.columns, this.lines).data;
      tile.grey = Uint8Array.from({ length: data.length / 4 }, (_, place) => data[4 * place]);
      tile.canvas = canvas;
      tile.context = context;
      this.onTile();
    } catch (error) {
      this.held.delete(key);
      this.onProblem(error.message);
    }
  }

  /** Choose contrast anew from what is here. */
  adapt() {
    this.palette = null;
  }

  colour(tile) {
    const image = tile.context.createImageData(this.columns, this.lines);
    const pixels = new Uint32Array(image.data.buffer);
    for (let place = 0; place < pixels.length; place += 1) pixels[place] = this.palette[tile.grey[place]];
    tile.context.putImageData(image, 0, 0);
    tile.palette = this.palette;
  }
}
