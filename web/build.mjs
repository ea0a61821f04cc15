// node build.mjs OUT: puts the page together for src/server/page.c.
//
//   OUT/page.html      the whole page: script and style inline, nothing else is ever loaded
//   OUT/page.html.gz   the same, as it is embedded and sent
//   OUT/page_embed.h   the hashes by which its policy allows the two inline parts
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url)),
  out = process.argv[2];
if (!out) throw new Error('usage: node build.mjs OUT');
const result = await build({
  entryPoints: { page: join(here, 'src/main.tsx'), style: join(here, 'src/style.css') },
  outdir: out,
  bundle: true,
  minify: true,
  write: false,
  format: 'iife',
  charset: 'utf8',
  target: ['es2022', 'chrome109', 'firefox115', 'safari16'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
});
// what would end the element it stands in
const part = (end) => result.outputFiles.find((f) => f.path.endsWith(end)).text.replace(/<\/(script|style)/gi, '<\\/$1');
const script = part('.js'),
  style = part('.css');
const page = readFileSync(join(here, 'page.html'), 'utf8')
  .replace('/*STYLE*/', () => style)
  .replace('/*SCRIPT*/', () => script);
const hash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'page.html'), page);
const gz = gzipSync(page, { level: 9 });
writeFileSync(join(out, 'page.html.gz'), gz);
writeFileSync(
  join(out, 'page_embed.h'),
  `/* made by web/build.mjs */
#define PAGE_BYTES ${Buffer.byteLength(page)}
#define PAGE_SCRIPT_HASH "${hash(script)}"
#define PAGE_STYLE_HASH "${hash(style)}"
#define PAGE_DIGEST "${createHash('sha256').update(gz).digest('hex').slice(0, 16)}"
`,
);
