/** Where rows of different heights stand. A row that was not measured yet counts as one line; the rest is kept as what
 *  a row has more than that, summed up by blocks, so that a place is found without going through all rows. */
const BLOCK = 256;

export class Heights {
  private readonly more = new Map<number, number>();
  private readonly blocks = new Map<number, number>();

  constructor(readonly line: number) {}

  /** Sets what was measured and says by how much the row grew. */
  set(i: number, height: number): number {
    const grew = height - this.line - (this.more.get(i) ?? 0),
      block = Math.floor(i / BLOCK);
    if (!grew) return 0;
    this.more.set(i, height - this.line);
    this.blocks.set(block, (this.blocks.get(block) ?? 0) + grew);
    return grew;
  }

  of(i: number): number {
    return this.line + (this.more.get(i) ?? 0);
  }

  top(i: number): number {
    if (!this.blocks.size) return i * this.line;
    const block = Math.floor(i / BLOCK);
    let y = i * this.line;
    for (const [b, more] of this.blocks) if (b < block) y += more;
    for (let k = block * BLOCK; k < i; k++) y += this.more.get(k) ?? 0;
    return y;
  }

  /** The row of `n` that is at this height. */
  at(y: number, n: number): number {
    let low = 0,
      high = Math.max(0, n - 1);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.top(middle) <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
